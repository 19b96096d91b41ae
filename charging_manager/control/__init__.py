"""What to do: pure functions from a site's image to a plan. Start reading at decide."""
