"""What training minimises, between ranks or on one, and the geometry that tells whether it worked."""
