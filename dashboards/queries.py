"""The PromQL of the dashboards.

Names come from the metric table and from the recording rules in ``alerts/rules.yml``. Grafana replaces ``$…``. Several
exporters may report one streamer, so a streamer's value is the maximum over them. Needs Prometheus 2.42 or newer.
"""

from __future__ import annotations

from typing import Final

from exporter.metrics import (
    CHAT_VELOCITY,
    CLIPS,
    LAST_TRIGGER,
    LAST_UPDATE,
    RECORDING,
    STREAMER,
    TRIGGERS,
    TYPE,
    VIEWERS,
    Family,
)

# The selected exporters.
SELECTOR: Final = 'job=~"$job", instance=~"$instance"'
# The selected streamers; or, on the dashboard about one streamer, that one by its exact name.
MANY: Final = f'{STREAMER}=~"${STREAMER}"'
ONE: Final = f'{STREAMER}="${STREAMER}"'
OF_TYPE: Final = f'{TYPE}=~"${TYPE}"'

UP: Final = f"up{{{SELECTOR}}}"
# The most streamers that a person can tell apart in one panel.
TOP: Final = 20
# Seconds before and after a trigger, for the table of triggers.
AROUND: Final = 30


def select(family: Family, who: str = MANY) -> str:
    """The samples of ``family`` from the selected exporters, and of the selected streamers and types."""
    matchers = [SELECTOR]
    if STREAMER in family.labels:
        matchers.append(who)
    if TYPE in family.labels:
        matchers.append(OF_TYPE)
    return f"{family.name}{{{', '.join(matchers)}}}"


def per_streamer(family: Family, who: str = MANY) -> str:
    """One value per streamer: the maximum over exporters."""
    return f"max by ({STREAMER}) ({select(family, who)})"


def or_zero(expression: str) -> str:
    """The value of ``expression``, or 0 if it has none and an exporter is up."""
    return f"{expression} or 0 * (max({UP}) == 1)"


def largest(expression: str, over_range: str) -> str:
    """``expression`` for the streamers with the largest ``over_range``, the same ones at every step of the graph."""
    return f"{expression} and on ({STREAMER}) topk({TOP}, {over_range})"


def largest_now(family: Family) -> str:
    """``family`` per streamer, for the streamers with the largest maximum in the time range."""
    peak = f"max by ({STREAMER}) (max_over_time({select(family)}[$__range] @ end()))"
    return largest(per_streamer(family), peak)


# -- counters: events in the time range, and in each step


def counted_in_range(family: Family, by: str | None = None, who: str = MANY) -> str:
    """Events in the time range; ``by`` a label or in total.

    ``increase()`` extrapolates to the edges of the range. Rounded series by series, it is the number of events, as long
    as there is less than one every other scrape.
    """
    total = f"sum by ({by})" if by else "sum"
    return f"{total} ({_once(family, f'round(increase({select(family, who)}[$__range]))')})"


def counted_per_step(family: Family, by: str, who: str = MANY) -> str:
    """Events in each step of the graph, ``by`` a label; the bars add up to all events.

    The difference of two steps counts every event once, without the extrapolation of ``increase()``. If a counter
    started or restarted within the step, its count since then is used.
    """
    counter = select(family, who)
    newest = f"last_over_time({counter}[$__interval])"
    counted = f"{newest} - {counter} offset $__interval >= 0 or {newest} - min_over_time({counter}[$__interval])"
    return f"sum by ({by}) ({_once(family, counted)})"


def _once(family: Family, counted: str) -> str:
    """Count a streamer's events once if several exporters ``counted`` them; add up exporters' counts of themselves."""
    return f"max by ({', '.join(family.labels)}) ({counted})" if STREAMER in family.labels else counted


# -- triggers and recordings as annotations


def trigger_times(who: str = MANY) -> str:
    """When each trigger happened, in milliseconds, at the steps that follow it.

    A trigger is visible at the first scrape after it, and that scrape at the first step after it: within two steps. The
    third step is for a scrape that is late or fails. ``max_over_time`` keeps triggers of a stream that has ended since
    the previous step. Older times are left out, so that each trigger is drawn once.
    """
    newest = f"max by ({STREAMER}, {TYPE}) (max_over_time({select(LAST_TRIGGER, who)}[$__interval]))"
    return f"({newest} > time() - 3 * $__interval_ms / 1000) * 1000"


def recording_started(who: str = MANY) -> str:
    """1 per streamer at the first step of a recording."""
    return f"{_recorded(who)} unless on ({STREAMER}) {_recorded(who, ' offset $__interval')}"


def recording_stopped(who: str = MANY) -> str:
    """1 per streamer at the first step after a recording."""
    return f"{_recorded(who, ' offset $__interval')} unless on ({STREAMER}) {_recorded(who)}"


def _recorded(who: str, offset: str = "") -> str:
    return f"(max by ({STREAMER}) ({select(RECORDING, who)}{offset}) == 1)"


# -- the recording rules of alerts/rules.yml, which have the label streamer but neither job nor instance


def recorded(family: Family, operation: str, who: str = MANY) -> str:
    """The series that the rules record of ``family``: ``mean``, ``stddev`` or ``ratio`` of recent values."""
    return f"streamer:{family.name}:{operation}{{{who}}}"


def largest_ratio(family: Family) -> str:
    """Ratios to the recent mean, for the streamers with the largest maximum in the time range."""
    peak = f"max_over_time({recorded(family, 'ratio')}[$__range] @ end())"
    return largest(recorded(family, "ratio"), peak)


def spike_threshold(family: Family, who: str) -> str:
    """The value from which on alerts fire, one line per severity; for one streamer."""
    return f"{THRESHOLDS[family.name]} * on () group_left () {recorded(family, 'mean', who)}"


def band(family: Family, sign: str, who: str) -> str:
    """The edge of the usual band: two standard deviations from the recent mean, and never below 0."""
    return f"clamp_min({recorded(family, 'mean', who)} {sign} 2 * {recorded(family, 'stddev', who)}, 0)"


THRESHOLDS: Final = {
    VIEWERS.name: "clipper:viewer_spike_ratio:threshold",
    CHAT_VELOCITY.name: "clipper:chat_burst_ratio:threshold",
}
UPDATE_AGE_THRESHOLD: Final = "clipper:update_age_seconds:threshold"
CERTIFICATE_THRESHOLD: Final = "clipper:certificate_seconds:threshold"
STORAGE_LAG_THRESHOLD: Final = "clipper:storage_lag_seconds:threshold"

# Alerts without a streamer are about an exporter. They are always shown.
FIRING: Final = f'ALERTS{{alertname=~"Clipper.+", alertstate="firing", {STREAMER}=~"$streamer|"}}'
FIRING_FOR: Final = f'time() - ALERTS_FOR_STATE{{alertname=~"Clipper.+"}} and ignoring (alertstate) {FIRING}'
FIRING_COUNT: Final = or_zero(f"count({FIRING})")

# -- tables

LIVE: Final = per_streamer(LAST_UPDATE)


def age(family: Family, who: str = MANY) -> str:
    """Seconds since the newest time in ``family``, per streamer."""
    return f"time() - {per_streamer(family, who)}"


def of_live(expression: str) -> str:
    """``expression`` for the streamers that are live at the end of the time range."""
    return f"{expression} and on ({STREAMER}) {LIVE}"


def trigger_moments() -> str:
    """The time of each trigger of one streamer, in ms, at the one step at which it is ``AROUND`` seconds old."""
    time = f"max by ({STREAMER}, {TYPE}) ({select(LAST_TRIGGER, ONE)})"
    return f"({time} <= time() - {AROUND} > time() - {AROUND} - $__interval_ms / 1000) * 1000"


def around_trigger(family: Family, seconds: int) -> str:
    """``family`` of the streamer, ``seconds`` after (or before) each of ``trigger_moments``; negative is before."""
    back = AROUND - seconds
    value = f"max by ({STREAMER}) ({select(family, ONE)}{f' offset {back}s' if back else ''})"
    return f"{value} * on ({STREAMER}) group_right () ({trigger_moments()} > bool 0)"


def change_around_trigger(family: Family) -> str:
    """The relative change of ``family`` from before to after each trigger."""
    before = around_trigger(family, -AROUND)
    return f"{around_trigger(family, AROUND)} / ({before} > 0) - 1"


STREAMERS_LIVE: Final = or_zero(f"count({LIVE})")
TOTAL_VIEWERS: Final = or_zero(f"sum({per_streamer(VIEWERS)})")
RECORDING_NOW: Final = or_zero(f"sum({per_streamer(RECORDING)})")
TRIGGERS_IN_RANGE: Final = or_zero(counted_in_range(TRIGGERS))
CLIPS_IN_RANGE: Final = or_zero(counted_in_range(CLIPS))
# Without channels too small for alerts: among these, the biggest rise is always noise.
BIGGEST_RISE: Final = (
    f"topk(1, {recorded(VIEWERS, 'ratio')} and {recorded(VIEWERS, 'mean')} >= scalar(clipper:viewer_base:threshold))"
)
RECORDED_MOST: Final = largest(
    per_streamer(RECORDING), f"max by ({STREAMER}) (sum_over_time({select(RECORDING)}[$__range] @ end()))"
)
# For Exporter health: of all streamers, those updated longest ago.
HELD: Final = f'{STREAMER}!=""'
STALEST: Final = (
    f"{age(LAST_UPDATE, HELD)} and on ({STREAMER}) "
    f"bottomk({TOP}, max by ({STREAMER}) (max_over_time({select(LAST_UPDATE, HELD)}[$__range] @ end())))"
)
