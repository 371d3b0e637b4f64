"""What tests share: a virtual clock, a small world to send in, and the invariants that end every story."""
