"""What the Monty backend needs beside itself: programs rewritten, values converted, errors explained, runs driven."""
