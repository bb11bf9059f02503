"""The defects of the code that was released with ToolWeaver, each re-created in ours, and the tests that notice.

What it is built on, its trie decoding (ToolGen), is one of them. A defect stands here once for each place of ours
where it could come back. `recreate.py` puts them in, one at a time, and `test_defects.py` demands that every test
named for one fails then; without this table a test could be deleted, or grow hollow, and nobody would hear of it.
"""

from __future__ import annotations

from typing import NamedTuple


class Patch(NamedTuple):
    file: str
    """Below the package `toolweft_server`."""
    ours: str
    """Stands there exactly once."""
    theirs: str


class Defect(NamedTuple):
    number: int
    """1 to 17: several places may share one."""
    what: str
    patches: tuple[Patch, ...]
    tests: tuple[str, ...]
    """`file::test` below `tests/server/`."""


ASSIGN, NETWORK, RQVAE = "training/assign.py", "training/rqvae_model.py", "training/rqvae.py"
STAGES, TRAIN, DECODE = "training/align/stages.py", "training/align/train.py", "training/align/decode.py"

CHOICE = """\
        for at in np.argsort(squares.min(1), kind="stable"):
            row = first[rows[at]]
            known = taken.code_of(latent[row])
            if known is not None and known[:-1] == prefix:
                codes[row, -1] = known[-1]
            elif free.any():
                codes[row, -1] = np.where(free, squares[at], np.inf).argmin()
            free[codes[row, -1]] = False
"""
CHOICE_BY_SINKHORN = """\
        for digit in np.unique(codes[first[rows], -1]):
            group = np.flatnonzero(codes[first[rows], -1] == digit)
            if len(group) > 1:
                plan = np.exp(-(2 * (squares[group] - squares[group].min()) / np.ptp(squares[group]) - 1) / 0.01)
                for _ in range(50):
                    plan /= plan.sum(0) * len(codebook[-1]) / len(group)
                    plan /= plan.sum(1, keepdims=True)
                codes[first[rows[group]], -1] = plan.argmax(1)
"""
SUFFIXES = """\
        last = np.where(self.suffix > 0, self.suffix, END).astype(np.int32)
        return np.concatenate([self.codes, last[:, None]], 1)
"""
SUFFIXES_APPENDED = """\
        rows = self.codes.{how}
        for row, suffix in zip(rows, self.suffix, strict=True):
            if suffix:
                row.append(suffix)
        return rows
"""

DEFECTS: tuple[Defect, ...] = (
    Defect(
        1,
        "the loop against collisions ends exactly when some remain",
        (Patch(ASSIGN, "in _by_prefix(codes[first]):",
               "in _by_prefix(codes[first]) if len(np.unique(codes, axis=0)) == len(codes) else ():"),),
        ("training/test_assign.py::test_tools_that_differ_get_codes_that_differ_and_no_suffix_while_there_is_room",
         "training/test_assign.py::test_tools_that_have_a_code_keep_it_and_new_ones_find_a_free_one"),
    ),
    Defect(
        1,
        "the check for collisions says the opposite",
        (Patch(ASSIGN, "if (counts > 1).any():", "if not (counts > 1).any():"),),
        ("training/test_assign.py::test_codes_that_still_collide_are_refused_as_the_inverted_check_never_did",
         "training/test_assign.py::test_owners_that_already_collide_are_refused"),
    ),
    Defect(
        2,
        "the suffix is appended to an array of strings",
        (Patch(ASSIGN, SUFFIXES, SUFFIXES_APPENDED.format(how="astype(str)")),),
        ("training/test_assign.py::test_a_suffix_makes_no_ragged_rows_and_needs_no_list",),
    ),
    Defect(
        2,
        "the suffix makes rows of unequal length",
        (Patch(ASSIGN, SUFFIXES, SUFFIXES_APPENDED.format(how="tolist()")),),
        ("training/test_assign.py::test_a_suffix_makes_no_ragged_rows_and_needs_no_list",),
    ),
    Defect(
        3,
        "the suffix is counted per tool, from 1",
        (Patch(ASSIGN, "        return suffix\n", "        return 1\n"),),
        ("training/test_assign.py::test_true_duplicates_are_numbered_per_code_and_not_all_alike",
         "training/test_assign.py::test_a_new_tool_equal_to_an_old_one_gets_its_code_and_the_next_suffix"),
    ),
    Defect(
        4,
        "Sinkhorn within each group of colliding tools chooses the most telling code",
        (Patch(ASSIGN, CHOICE, CHOICE_BY_SINKHORN),),
        ("training/test_assign.py::"
         "test_a_tool_that_must_move_goes_to_a_near_code_and_not_to_the_most_telling_one",),
    ),
    Defect(
        5,
        "a new code may be that of a tool outside the group",
        (Patch(ASSIGN, "            free[codes[row, -1]] = False\n", ""),),
        ("training/test_assign.py::test_tools_that_differ_get_codes_that_differ_and_no_suffix_while_there_is_room",),
    ),
    Defect(
        5,
        "a new code may be that of a tool which had it before",
        (Patch(ASSIGN, "free = taken.free(prefix, len(codebook[-1]))", "free = np.ones(len(codebook[-1]), bool)"),),
        ("training/test_assign.py::test_tools_that_have_a_code_keep_it_and_new_ones_find_a_free_one",),
    ),
    Defect(
        5,
        "tools of equal vectors keep one row for ever",
        (Patch(ASSIGN, "suffix[row] = taken.number(codes[row])", "suffix[row] = 0"),),
        ("training/test_assign.py::test_a_new_code_is_nobody_elses_and_equal_vectors_are_told_apart",
         "training/test_assign.py::test_true_duplicates_are_numbered_per_code_and_not_all_alike"),
    ),
    Defect(
        6,
        "codes are Sinkhorn's while training, whoever is in the batch, and the nearest ones afterwards",
        (Patch(NETWORK, "            chosen = squares[-1].argmin(1)\n", """\
            from toolweft_server.training.sinkhorn import centred, sinkhorn

            plan = sinkhorn(centred(squares[-1].detach()), epsilon=0.01).logs if self.training else -squares[-1]
            chosen = plan.argmax(1)
"""),),
        ("training/test_rqvae.py::test_in_training_a_tool_has_the_code_that_it_has_afterwards_in_any_company",),
    ),
    Defect(
        7,
        "the graph term sees codewords before the straight-through copy: the encoder never hears of co-usage",
        (Patch(NETWORK, "sums = total + z - z.detach()", "sums = total"),
         Patch(RQVAE, "        laplacian(z_u, z_v),\n", "        z_u.new_zeros(()),\n")),
        ("training/test_rqvae.py::test_co_usage_reaches_the_encoder_and_not_the_codebook_alone",
         "training/test_rqvae.py::test_co_usage_of_the_default_weight_brings_tools_nearer"),
    ),
    Defect(
        8,
        "the graph term is divided by the square of the batch",
        (Patch("training/graph.py", "(at_u - at_v).square().sum(1).mean()",
               "(at_u - at_v).square().sum() / len(at_u) ** 2"),),
        ("training/test_graph.py::test_tools_without_edges_do_not_dilute_the_laplacian",),
    ),
    Defect(
        8,
        "the graph term's weight makes it nothing",
        (Patch(RQVAE, "    graph: float = 1.0\n", "    graph: float = 0.001\n"),),
        ("training/test_rqvae.py::test_co_usage_of_the_default_weight_brings_tools_nearer",),
    ),
    Defect(
        9,
        "distances are taken with an entry for each pair and dimension",
        (Patch("training/kmeans.py", "    return squares.clamp_min(0.0)\n",
               "    return (points[:, None] - centres[None]).square().sum(2)\n"),),
        ("training/test_rqvae.py::test_no_tensor_has_an_entry_for_each_pair_of_tools_and_dimension",),
    ),
    Defect(
        9,
        "co-usage is a dense matrix",
        (Patch("training/affinity.py", "    order = np.lexsort((v, u))\n",
               "    dense = np.zeros((len(alone), len(alone)))\n    dense[u, v] = weights\n"
               "    order = np.lexsort((v, u))\n"),),
        ("training/test_affinity.py::test_fifty_thousand_tools_cost_what_their_edges_cost",),
    ),
    Defect(
        10,
        "losses are unpacked in another order than they were packed",
        (Patch(RQVAE, "**{name: value.item() for name, value in parts._asdict().items()})",
               "**{name: value.item() for name, value in zip(('reconstruction', 'commitment', 'graph_latent', "
               "'codebook', 'graph_codes', 'contrast', 'balance'), parts, strict=True)})"),),
        ("training/test_rqvae.py::test_every_term_is_logged_under_its_own_name",),
    ),
    Defect(
        11,
        "whether k-means has run is no part of the state",
        (Patch(NETWORK, 'self.register_buffer("initialised", torch.tensor(False))',
               "self.initialised = torch.tensor(False)"),),
        ("training/test_rqvae.py::test_a_loaded_network_does_not_start_its_codebook_anew",
         "training/test_quantise.py::test_a_resumed_run_equals_an_uninterrupted_one"),
    ),
    Defect(
        12,
        "a switch reads the word False as true",
        (Patch("commands/train_tokenize.py", '"--graph", action=switch, default=True', '"--graph", type=bool'),),
        ("training/test_train_command.py::test_a_switch_that_is_off_is_off",
         "training/test_train_command.py::test_a_word_after_a_switch_is_refused",
         "training/test_defects.py::test_no_option_reads_any_word_as_true"),
    ),
    Defect(
        13,
        "k-means makes as many clusters as it is told, whatever there is",
        (Patch("training/kmeans.py", "_seeds(points, min(clusters, distinct(points)), generator)",
               "_seeds(points, clusters, generator)"),),
        ("training/test_kmeans.py::test_there_are_never_more_clusters_than_different_points",
         "training/test_quantise.py::test_fewer_tools_than_codes_make_a_smaller_codebook",
         "training/test_tokenise.py::test_a_catalogue_smaller_than_the_codebook_is_tokenised"),
    ),
    Defect(
        13,
        "an RQ-VAE has as many codes as it is told, whatever there is",
        (Patch(RQVAE, "size = min(config.codes, distinct(vectors))", "size = config.codes"),),
        ("training/test_quantise.py::test_fewer_tools_than_codes_make_a_smaller_codebook",),
    ),
    Defect(
        14,
        "nothing makes co-usage into codes",
        (Patch("training/tokenise.py", "config.affinity, sources.usages,", "config.affinity, (),"),),
        ("training/test_tokenise.py::test_co_usage_reaches_the_codes_and_their_numbers",),
    ),
    Defect(
        14,
        "code tokens begin at random",
        (Patch(STAGES, 'if config.rows == "ridge":', "if False:"),),
        ("training/align/test_stages.py::test_code_tokens_begin_where_the_ridge_map_puts_them_or_at_random",),
    ),
    Defect(
        14,
        "no trie holds the model to codes that exist",
        (Patch(DECODE, "own.masked_fill(~mask, -math.inf).log_softmax(-1)", "own.log_softmax(-1)"),),
        ("training/align/test_decode.py::test_only_whole_codes_of_the_trie_come_out_and_each_once",),
    ),
    Defect(
        14,
        "training runs on the fourth GPU or not at all",
        (Patch(TRAIN, '("cuda" if torch.cuda.is_available() else "cpu")', '("cuda:3")'),),
        ("training/align/test_train.py::test_a_device_is_chosen_that_is_there",),
    ),
    Defect(
        14,
        "the checkpoint of the least loss in training counts",
        (Patch("training/align/checkpoint.py", "load(found[-1]) if found else None",
               "min(map(load, found), key=lambda state: state.losses[-1]) if found else None"),),
        ("training/align/test_train.py::test_the_checkpoint_of_the_most_steps_counts_whatever_its_loss",),
    ),
    Defect(
        14,
        "an answer is measured against the right tools that it has and not against all there are",
        (Patch("evaluation/metrics.py", "_ndcg(right, golds, k) for k in NDCG_AT",
               "_ndcg(right, found[:, RELEASED_CUT - 1], k) for k in NDCG_AT"),),
        ("evaluation/test_metrics.py::"
         "test_one_of_three_right_tools_at_rank_one_is_worth_047_in_full_and_1_in_the_released_variant",),
    ),
    Defect(
        15,
        "two tools that were seen once, together, are as close as tools can be",
        (Patch("training/affinity.py", " + config.kappa)", ")"),),
        ("training/test_affinity.py::test_a_pair_seen_once_is_not_as_close_as_tools_can_be",
         "training/test_affinity.py::test_affinity_is_shrunk_co_usage_divided_by_what_each_is_used"),
    ),
    Defect(
        15,
        "co-usage of every split is counted",
        (Patch("training/affinity.py", 'if usage.split != "train" or usage.times < 1:', "if usage.times < 1:"),),
        ("training/test_affinity.py::test_usage_of_another_split_is_refused",),
    ),
    Defect(
        15,
        "co-usage of every split is read",
        (Patch("training/usages.py", 'if usage.split == "train":', "if usage:"),),
        ("training/test_usages.py::test_training_sets_are_read_and_others_left_out",),
    ),
    Defect(
        16,
        "rows come in whatever order",
        (Patch(TRAIN, ", generator=torch.Generator().manual_seed(self.seed + epoch))", ")"),),
        ("training/align/test_train.py::test_rows_come_in_the_order_of_the_seed_and_unseeded_ones_would_not",),
    ),
    Defect(
        16,
        "a condition holds whatever happens",
        (Patch(STAGES, 'if config.rows == "ridge":', 'if config.rows == "ridge" or -1:'),),
        ("training/align/test_stages.py::test_code_tokens_begin_where_the_ridge_map_puts_them_or_at_random",
         "training/test_defects.py::test_no_condition_holds_whatever_happens"),
    ),
    Defect(
        17,
        "illegal tokens are clamped after a softmax over the whole vocabulary",
        (Patch(DECODE, "    return own.masked_fill(~mask, -math.inf).log_softmax(-1)\n", """\
    said = logits.float().log_softmax(-1)[:, steps.tokens]
    return torch.cat([said, said.new_zeros(len(said), 1)], dim=1).masked_fill(~mask, -1e10)
"""),),
        ("training/align/test_decode.py::test_the_probabilities_of_all_codes_sum_to_one",
         "training/align/test_decode.py::test_a_beam_as_wide_as_the_trie_ranks_and_scores_as_exhaustive_search",
         "training/align/test_decode.py::"
         "test_scores_are_renormalised_over_legal_children_and_clamped_ones_would_not_be",
         "training/align/test_decode.py::test_clamped_scores_favour_codes_with_fewer_tokens_and_ours_do_not"),
    ),
    Defect(
        17,
        "a mask is made for the whole vocabulary",
        (Patch(DECODE, "torch.zeros(len(nodes), len(steps.tokens) + 1, dtype=torch.bool",
               "torch.zeros(len(nodes), 32_000, dtype=torch.bool"),),
        ("training/align/test_decode.py::test_the_mask_is_boolean_and_as_wide_as_the_trie_not_the_vocabulary",),
    ),
    Defect(
        17,
        "the heads share probability among digits that lead nowhere",
        (Patch("index/woven/heads.py", "_log_softmax(np.where(np.isfinite(steps[several]), logits, -np.inf))",
               "np.where(np.isfinite(steps[several]), _log_softmax(logits), -1e10)"),),
        ("index/woven/test_heads.py::test_log_probabilities_are_those_of_the_formula_and_add_up_to_one",),
    ),
)  # fmt: skip
