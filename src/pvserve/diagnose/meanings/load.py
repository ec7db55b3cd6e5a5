"""Rows of the table: loads by Job that wait.

Owns words, remedies and sources. Must not know how a trap is recognised.
"""

from __future__ import annotations

from pvserve.diagnose.meanings.row import Meaning

LOAD: tuple[Meaning, ...] = (
    Meaning(
        "LoadQueued",
        "the Job of a load is suspended: Kueue has not admitted it yet",
        "Job {job}, which loads to {place}, waits in queue {queue} to be admitted",
        (
            "kubectl -n {namespace} describe localqueue.kueue.x-k8s.io {queue}",
            "it goes on by itself once it is admitted: pvserve status {place} --follow -n {namespace}",
            "or load without a queue: pvserve cancel {place} -n {namespace}, then the same load without --queue",
        ),
        "Kueue: suspended Jobs, events of the Job's Workload",
        "warn",
    ),
    Meaning(
        "LoadSuspended",
        "the Job of a load is suspended, and is in no queue",
        "Job {job}, which loads to {place}, is suspended, and is in no queue that would let it go on",
        (
            'kubectl -n {namespace} patch job {job} --type merge -p \'{{"spec":{{"suspend":false}}}}\'',
            "or give it up: pvserve cancel {place} -n {namespace}",
        ),
        "Kubernetes: Job field suspend",
        "warn",
    ),
)
