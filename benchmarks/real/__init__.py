"""Parts of the benchmarks that measure real processes beside Snapcast's: a path with delays, a reader, differences."""
