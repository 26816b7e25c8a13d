"""What others may see: figures by the names they are exported under, and how they get there."""
