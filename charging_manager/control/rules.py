"""The numbers that decisions follow (SAFETY, "Numbers"); a test or a site may change them."""

from __future__ import annotations

from attrs import frozen


@frozen
class Rules:
    """Defaults are the product's promises; every ``*_s`` is a duration."""

    stale_after_s: float = 6.0
    """A meter without a good reading for so long is silent: with a cycle and a write, fallback holds within 10 s."""
    good_readings: int = 3
    """So many good readings bring a silent meter back."""
    flap_s: float = 60.0
    """A meter that falls silent again sooner than this after coming back stays out for as long."""
    frozen_after_s: float = 6.0
    """A meter that repeats itself exactly while charging has changed for so long is frozen."""
    frozen_delta_a: float = 3.0
    box_silent_after_s: float = 7.0
    """A charge point that has not answered for so long is counted at its fallback or hardware maximum."""
    lag_s: float = 2.0
    """How far a box's and a meter's own measuring may lie apart in time."""
    settle_within_s: float = 20.0
    """A meter's reading that boxes have not caught up with for so long counts at its widest."""
    jitter_a: float = 0.3
    """Cars start beside others, and setpoints rise, only if so much jitter of the house load, where seen, fits too."""
    loose_a: float = 0.1
    """How far a box's own measuring may be off, and all of them together at most ``jitter_a``."""
    ahead_s: float = 4.0
    """House load that has risen for 6 s and more is taken to go on so for as long, by ``ahead_a`` at most."""
    ahead_a: float = 3.0
    calm_a_per_s: float = 0.001
    """So fast is a peak of the house load forgotten."""
    pause_s: float = 300.0
    turn_s: float = 900.0
    try_s: float = 120.0
    """A car that was offered current for so long and took none has had its turn."""
    raise_after_lowering_s: float = 15.0
    raise_every_s: float = 5.0
    overdraft_s: float = 300.0
    overload: float = 1.45
    """At this multiple of a limit the lowest priority below it goes to 0 at once."""
    settle_s: float = 10.0
    """Time for a car to follow a lowered setpoint, before what it draws above that counts as excess."""
    phases_after_s: float = 15.0
    """A car that loads the same phases for so long is counted on those alone."""
    phase_margin_a: float = 0.5
    """What is still kept for it on each of its other phases."""
    less_after_s: float = 30.0
    """A car that takes less than offered for so long is offered what it takes and ``headroom_a``."""
    less_a: float = 1.5
    headroom_a: float = 2.0
    bear: float = 1.13
    """This multiple of its rated current a breaker of IEC 60898-1 bears, from cold,"""
    bear_s: float = 3600.0
    """for so long (twice that above 63 A)."""
    hot: float = 0.98
    """So warm it bears no more than its limit,"""
    cool: float = 0.9
    """until it is as cool as this."""
    volts_s: float = 300.0
    """For so long the highest voltage counts, where watts are limited."""
    sun_lag_s: float = 1.0
    """How far the grid's meter and a box may lie apart in time, where the sun is followed,"""
    sun_settle_s: float = 6.0
    """and for how long after a change a box's reading is not yet the last word."""
    sun_ahead_s: float = 3.0
    """A surplus that goes on falling is met where it will be then: so long do cars take to follow."""
    sun_rise_s: float = 20.0
    """A setpoint rises to what the sun has left for so long,"""
    sun_wary_s: float = 60.0
    """or for as long as this, when much had to be taken from the grid."""
    sun_margin_w: float = 60.0
    """What must be left over beside what a higher setpoint would take."""
    sun_rest_s: float = 30.0
    """Enough sun for so long ends a time of grace."""
    sun_free_wh: float = 5.0
    """Taken from the grid in grace without being counted against what was charged."""
    sun_ride_s: float = 1200.0
    """Over so long it is looked back what clouds would have cost a car that had charged all the time."""
    sun_proof_s: float = 600.0
    """For three phases the sun must have lasted for so long until the day has shown how it is."""
    sun_dare: float = 2.0
    """Times what may come from the grid: so much it may have been for a car to start, for it sits out the worst."""
    sun_rest_grows: float = 2.0
    """Every start of a car makes its next pause for want of sun longer by this factor,"""
    sun_rests: int = 6
    """so many times."""
    sun_forget_s: float = 43200.0
    """Starts are forgotten after this."""
    one_after_s: float = 180.0
    """From three phases to one after so long of too little for three."""
    phases_every_s: float = 600.0
    """Not sooner after a switch of phases comes one to three."""
    switch_within_s: float = 120.0
    """A box that does not confirm a switch within this is left as it is."""
    house_storage_w: float = 100.0
    """Cars leave so much over where a storage battery is for the house: while it takes that, it is not full."""
    storage_least_pct: float = 50.0
    """A storage battery for all gives to cars down to this state of charge,"""
    storage_again_pct: float = 5.0
    """and, once below, again from so much more on."""
    storage_cost: float = 0.25
    """What a storage battery for the house gives while clouds pass counts so much against what may come from the grid:
    it is filled again before cars, and loses and wears by that."""
    storage_stale_s: float = 10.0
    storage_takes_w: float = 300.0
    """A storage battery that takes so much gives nothing."""
    unlock_after_s: float = 60.0
    """Storage batteries may give again when there was no reason against it for so long."""
