"""A result's charts. `bench.charts.draw.draw(result)` makes all that its content allows."""
