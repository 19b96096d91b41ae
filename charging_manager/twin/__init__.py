"""A whole site on a virtual clock: its plant, cars, weather, arrivals and house, steered by the real controller."""
