import math
import statistics

data = [2.5, 3.25, 5.5, 11.25, 11.75, 3.25]
print(
    statistics.mean(data),
    statistics.median(data),
    statistics.mode(data),
    statistics.multimode("aabbc"),
    round(statistics.stdev(data), 6),
)
print(
    statistics.quantiles(data, n=4),
    round(statistics.harmonic_mean([40, 60]), 6),
    round(statistics.geometric_mean([54, 24, 36]), 6),
)
slope, intercept = statistics.linear_regression([1, 2, 3, 4], [3, 5, 7, 9])
normal = statistics.NormalDist(100, 15)
print(
    slope,
    intercept,
    round(normal.cdf(130), 4),
    round(normal.inv_cdf(0.5), 6),
    statistics.correlation([1, 2, 3], [3, 2, 1]),
)
try:
    statistics.mean([])
except statistics.StatisticsError as error:
    print(error)
[
    round(math.gamma(5.5), 6),
    round(math.erf(0.5), 6),
    math.log2(1024),
    round(math.log(10, 2), 6),
    math.prod(range(1, 6)),
    round(math.degrees(math.atan2(1, 1)), 6),
    math.isqrt(10**20 + 1),
    math.cbrt(27.0),
    math.exp2(5),
    math.remainder(7, 4),
    math.isnan(math.nan),
    math.fmod(-7, 3),
    round(math.tau, 4),
]
