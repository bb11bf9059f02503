"""Ways of solving a task beside the agent's own loop; each is a coroutine from `Work` to `Answer`."""
