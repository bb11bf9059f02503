import functools
import operator


@functools.cache
def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)


[fib(80), functools.reduce(operator.mul, range(1, 8)), functools.partial(pow, 2)(10), fib.cache_info().hits]
