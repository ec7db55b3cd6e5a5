"""What runs in a Job: a source that the cluster reads itself, onto a claim, with nobody at the other end.

Owns fetching. Standard library and the modules that the bundle brings along (`pvserve.transfer.bundle`), Python >= 3.8.
"""
