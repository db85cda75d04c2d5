"""What training minimises (`infonce`), and the geometry that tells whether it worked (`geometry`)."""
