"""Proof of P1 to P3 and P6 by chaos: runs killed, data changing, vendors failing.

    pytest tests/chaos                       the default number of scenarios
    CHAOS_SCHEDULES=5000 pytest tests/chaos -n 2
    pytest tests/chaos/test_mutants.py       breaks the tap's rules one by one

`spec` draws what happens and `runner` makes it happen. `history` remembers every form that
the vendors' rows have had, `target` is a warehouse that keeps what it received. After each
run `invariants` checks how the run went, and `oracle` what the target must hold;
`bookmarks` is all that they know about the format of a STATE.
"""
