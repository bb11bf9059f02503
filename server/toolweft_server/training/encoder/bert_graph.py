"""The weights of a BERT -> one ONNX graph: token ids to a unit vector, products of matrices in 8-bit integers.

Written node by node and not traced: the graph is small, its fused nodes are those that `onnxruntime` runs fastest on
a CPU, and the same weights give the same bytes whatever version of torch reads them.

Weights are signed and symmetric, one scale for each output. What comes in is unsigned, around 128, and rounded row by
row, one scale for each token: no token's numbers depend on another token's, and one outlier spoils one row. Processors
with VNNI, and Arm's, multiply such pairs in one instruction, in two thirds of the time that two unsigned sides take.
x86 processors without VNNI add two of the products in 16 bits and saturate, which is little (200 texts: mean cosine to
torch .9967 there, .9977 elsewhere).

T tokens, D numbers of a token, V words, L layers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper

from toolweft_server.index.woven.encoder import INPUT, OUTPUT

Floats: TypeAlias = NDArray[np.float32]

PLACES = "places"
"""The name of the table of positions in the graph, (longest, D)."""
_FUSED = "com.microsoft"
"""The domain of the nodes that `onnxruntime` adds to the standard."""
_OPSET, _IR = 18, 9
"""Old enough for every `onnxruntime` since 1.17."""
_ZERO, _MOST = 128, 127
"""The unsigned byte that means 0, and how far a rounded number is from it at most."""
_GELU_LEAST = 0.17
"""Gelu gives nothing below -0.16998: its largest number is the largest magnitude, but where all are as small."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    layers: int
    heads: int
    epsilon: float
    """Added to the variance where a layer is normalised."""


def graph(weights: Mapping[str, Floats], shape: Shape, *, longest: int, exact: bool = False) -> ModelProto:
    """`ids` (1, T) int64, T at most `longest` -> `vectors` (1, D): the mean over the tokens, of unit length.

    `weights` by the names of `transformers.BertModel`. `exact` leaves everything in 32 bits: four times as large, and
    what the rounded one is compared with.
    """
    return _Graph(weights, shape, exact).written(longest)


class _Graph:
    def __init__(self, weights: Mapping[str, Floats], shape: Shape, exact: bool) -> None:
        self._weights, self._shape, self._exact = weights, shape, exact
        self._nodes: list[Any] = []
        self._constants: dict[str, Any] = {}

    def written(self, longest: int) -> ModelProto:
        states = self._embedded(longest)
        if not self._exact:
            zero = helper.make_tensor("", TensorProto.UINT8, [1], [_ZERO])
            self._add("ConstantOfShape", ["count"], "zeros", value=zero)
        for layer in range(self._shape.layers):
            states = self._layer(states, layer)
        summed = self._add("ReduceSum", [states, self._constant("axis_1", np.array([1], np.int64))], "sum", keepdims=0)
        self._add("LpNormalization", [summed], OUTPUT, axis=1, p=2)  # of the mean, too: length does not matter
        size = self._weights["embeddings.LayerNorm.weight"].shape[0]
        takes = [helper.make_tensor_value_info(INPUT, TensorProto.INT64, [1, "tokens"])]
        gives = [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, [1, size])]
        return helper.make_model(
            helper.make_graph(self._nodes, "encoder", takes, gives, list(self._constants.values())),
            opset_imports=[helper.make_opsetid("", _OPSET), helper.make_opsetid(_FUSED, 1)],
            ir_version=_IR,
            producer_name="toolweft",
        )

    def _embedded(self, longest: int) -> str:
        words = self._weights["embeddings.word_embeddings.weight"]
        if self._exact:
            found = self._add("Gather", [self._constant("words", words), INPUT], "word")
        else:
            rounded, scales = _rounded(words)
            bytes_ = self._add("Gather", [self._constant("words", rounded), INPUT], "word_bytes")
            floats = self._add("Cast", [bytes_], "word_floats", to=TensorProto.FLOAT)
            scale = self._add("Gather", [self._constant("word_scales", scales[:, None]), INPUT], "word_scale")
            found = self._add("Mul", [floats, scale], "word")
        # Every token is of the first kind, so its vector stands in the table of places.
        places = self._weights["embeddings.position_embeddings.weight"][:longest]
        places = places + self._weights["embeddings.token_type_embeddings.weight"][0]
        axis = self._constant("axis_0", np.array([0], np.int64))
        count = self._add("Shape", [INPUT], "count", start=1, end=2)
        placed = self._add("Slice", [self._constant(PLACES, places), axis, count, axis], "place")
        both = self._add("Add", [found, placed], "embedded")
        return self._add("LayerNormalization", [both, *self._norm("embeddings")], "states", epsilon=self._shape.epsilon)

    def _layer(self, states: str, layer: int) -> str:
        name = f"encoder.layer.{layer}"
        kinds = [f"{name}.attention.self.{kind}" for kind in ("query", "key", "value")]
        parts = [f"{kind}.part" for kind in kinds]
        self._add_many("Split", [self._linear(states, kinds, f"{name}.qkv")], parts, axis=2, num_outputs=3)
        seen = self._add("MultiHeadAttention", parts, f"{name}.seen", _FUSED, num_heads=self._shape.heads)
        seen = self._linear(seen, [f"{name}.attention.output.dense"], f"{name}.attended")
        states = self._skip(seen, states, f"{name}.attention.output")
        wide = self._linear(states, [f"{name}.intermediate.dense"], f"{name}.wide")
        wide = self._add("Gelu", [wide], f"{name}.gelu", _FUSED)
        narrow = self._linear(wide, [f"{name}.output.dense"], f"{name}.narrow", least=_GELU_LEAST)
        return self._skip(narrow, states, f"{name}.output")

    def _linear(self, states: str, layers: Sequence[str], to: str, *, least: float | None = None) -> str:
        """(1, T, K) -> (1, T, N): x Wᵀ + b; several layers side by side are one. Nothing in x is below -`least`."""
        weight = np.concatenate([self._weights[f"{layer}.weight"] for layer in layers])  # (N, K)
        bias = self._constant(f"{to}.bias", np.concatenate([self._weights[f"{layer}.bias"] for layer in layers]))
        if self._exact:
            product = self._add("MatMul", [states, self._constant(f"{to}.weight", weight.T)], f"{to}.product")
            return self._add("Add", [product, bias], to)
        rounded, scales = _rounded(weight)
        row_bytes, row_scales = self._rows(states, f"{to}.rows", least)
        factors = [self._constant("one", np.array(1, np.float32)), self._constant(f"{to}.scales", scales)]
        zeros = [self._constant("zero", np.array(_ZERO, np.uint8)), self._constant("no", np.array(0, np.int8))]
        sides = [row_bytes, self._constant(f"{to}.weight", rounded.T), *factors, *zeros]
        product = self._add("MatMulIntegerToFloat", sides, f"{to}.product", _FUSED)
        scaled = self._add("Mul", [product, row_scales], f"{to}.scaled")
        return self._add("Add", [scaled, bias], to)

    def _rows(self, states: str, to: str, least: float | None) -> tuple[str, str]:
        """(1, T, K) -> bytes of the same shape, and (1, T, 1) what one step of each row's bytes is worth."""
        axis = self._constant("axis_2", np.array([2], np.int64))
        sizes = self._add("Abs", [states], f"{to}.abs") if least is None else states
        most = self._add("ReduceMax", [sizes, axis], f"{to}.most", keepdims=1)
        if least is not None:
            most = self._add("Max", [most, self._constant("least", np.array(least, np.float32))], f"{to}.more")
        worth = self._add("Mul", [most, self._constant("step", np.array(1 / _MOST, np.float32))], f"{to}.worth")
        flat = self._add("Reshape", [worth, self._constant("flat", np.array([-1], np.int64))], f"{to}.flat")
        return self._add("QuantizeLinear", [states, flat, "zeros"], f"{to}.bytes", axis=1), worth

    def _skip(self, states: str, before: str, name: str) -> str:
        both = self._add("Add", [states, before], f"{name}.both")
        sides = [both, *self._norm(name)]
        return self._add("LayerNormalization", sides, f"{name}.states", epsilon=self._shape.epsilon)

    def _norm(self, name: str) -> list[str]:
        found = [f"{name}.LayerNorm.{part}" for part in ("weight", "bias")]
        return [self._constant(each, self._weights[each]) for each in found]

    def _constant(self, name: str, array: NDArray[Any]) -> str:
        if name not in self._constants:
            self._constants[name] = numpy_helper.from_array(np.ascontiguousarray(array), name)
        return name

    def _add(self, kind: str, inputs: Sequence[str], to: str, domain: str = "", /, **settings: Any) -> str:
        self._add_many(kind, inputs, [to], domain, **settings)
        return to

    def _add_many(
        self, kind: str, inputs: Sequence[str], to: Sequence[str], domain: str = "", /, **settings: Any
    ) -> None:
        self._nodes.append(helper.make_node(kind, inputs, to, domain=domain, **settings))


def _rounded(rows: Floats) -> tuple[NDArray[np.int8], Floats]:
    """(N, K) -> bytes (N, K) and scales (N,): rows ≈ bytes · scale."""
    scales = np.abs(rows).max(axis=1) / _MOST
    scales = np.where(scales > 0, scales, 1).astype(np.float32)
    return np.rint(rows / scales[:, None]).astype(np.int8), scales
