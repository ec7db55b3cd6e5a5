"""The program that runs in the pod: Python 3.8 or newer, standard library only, nothing installed.

`pvserve.transfer.bundle` hands these modules to the pod as one file. None may import anything of pvserve outside of
this package.
"""
