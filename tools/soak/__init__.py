"""Long runs with random kills and faults; ``make soak`` runs them."""
