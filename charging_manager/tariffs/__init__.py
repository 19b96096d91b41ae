"""What a kWh costs and what the sun may give, from the words of others: tables, files, providers. Nobody is asked here.

Whatever comes is checked row by row and refused as a whole with the row named; nothing of it ever counts as free.
"""
