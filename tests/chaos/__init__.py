"""Proof of P1 to P3 and P6 by chaos: runs killed, data changing, vendors failing.

    pytest tests/chaos                       the default number of schedules
    CHAOS_SCHEDULES=5000 pytest tests/chaos -n 2
    python -m tests.chaos.mutants            breaks the tap's rules one by one

`schedule` draws what happens, `play` makes it happen, `ledger` remembers every form that
the vendors' rows have had, `target` is a warehouse that keeps what it received.
"""
