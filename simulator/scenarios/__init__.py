"""Scenarios: files that say who lives in a pretend Stripe and what they do, and a player that lets them, over HTTP.

    about: People who stay, and people who stop paying.
    days: 200
    arrive: 20d
    lives:
      stays:
        share: 3
        steps:
          - checkout: {buy: [mid_monthly, high_monthly]}
      stops_paying:
        share: 1
        steps:
          - checkout: {buy: mid_monthly}
          - wait: 10d..20d
          - portal: {card: pm_card_chargeCustomerFail}

Everybody lives one of the lives, by its share.  Where a step gives a list, chance chooses, and where it gives a span;
all chance comes from the seed.  What follows of itself (renewals, retries, trial ends, judgments) is Stripe's.
"""
