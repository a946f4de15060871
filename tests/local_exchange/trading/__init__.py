"""Trading on the local exchange, as plain code: no sockets, no HTTP, no waiting.

`engine` joins the rest: `book` (who meets which trade), `filters` (what an order must be),
`spot_account` and `margin_account` (whose money it is, over `position` and `ledger`). Money, prices
and amounts are Decimals; times are µs on the exchange's clock.
"""
