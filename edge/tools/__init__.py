"""What a technician's tools need: lines lent and taken back, listening in, single reads, a line of their own."""
