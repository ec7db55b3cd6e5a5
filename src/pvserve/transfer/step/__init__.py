"""The load step: a program that loads a model from within the cluster, without a client.

`pvserve.transfer.program` hands it to a pod: these modules with all that they import of `transfer` and `model`. Python
3.11 or newer, standard library only.
"""
