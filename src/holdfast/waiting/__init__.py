"""The only code that sleeps, awaits, parks or spawns for a call. It knows no policy."""
