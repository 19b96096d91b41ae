"""The cloud's database: numbered SQL files, applied in order, never edited once released."""
