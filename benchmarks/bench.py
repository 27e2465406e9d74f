"""All benchmarks in one run: `make bench`. Compare the ratios, not the times."""

import bench_fleet
import bench_lab
import bench_redraw

for benchmark in (bench_redraw, bench_lab, bench_fleet):
    benchmark.main()
    print()
