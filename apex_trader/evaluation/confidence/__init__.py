"""How sure it is that an order beats keeping the position: labels, calibration, gate, judgement."""
