def withdraw(balance, amount):
    assert amount > 0, f"amount {amount} must be positive"
    assert amount <= balance, ("insufficient", balance, amount)
    return balance - amount


outcomes = []
for amount in (30, 0, 500):
    try:
        outcomes.append(withdraw(100, amount))
    except AssertionError as error:
        outcomes.append(error.args[0])
        print(type(error).__name__, error)
assert __debug__
outcomes
