"""The benchmark's harness: standard library only, so that it runs anywhere at once."""
