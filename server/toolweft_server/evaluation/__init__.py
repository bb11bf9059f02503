"""How well tools are found: data, systems, metrics and statistics. Needs neither torch nor a store."""
