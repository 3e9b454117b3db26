"""All wordings by split: no phrase for an event, order, place, adverb or frame is in two splits.

In a phrase, `[a|b]` says `a` for an event and `b` for its opposite, `{A}` is the actor as a
subject, `{O}` as an object, `{B}` the second actor, `{C}` the cloth or liquid, and `<move>` a
verb that agrees with `{A}` (`<s:pick>` is always singular, `<p:come>` always plural).
"""

import re

from kinoscope.training.world.scene import Split

EDITION = "texts-2"
"""Raise it when a change makes other texts of the same scenes."""

BySplit = dict[Split, tuple[str, ...]]

_CHOICE = re.compile(r"\[([^|\]]*)\|([^\]]*)\]")


def by_split(train: str, validation: str, test: str) -> BySplit:
    """Three lists of phrases, each separated by semicolons."""
    parts: dict[Split, str] = {"train": train, "validation": validation, "test": test}
    return {
        split: tuple(" ".join(phrase.split()) for phrase in text.split(";"))
        for split, text in parts.items()
    }


def chosen(phrase: str, side: int) -> str:
    """The phrase for an event (side 0) or for its opposite (side 1)."""
    resolved = _CHOICE.sub(lambda found: found[1 + side], phrase)
    halves = resolved.split("|")
    return halves[min(side, len(halves) - 1)].strip()


EVENT_PHRASES: dict[str, BySplit] = {
    "move_left": by_split(
        "{A} <move> to the [left|right]; {A} <slide> [left|right]; {A} <travel> "
        "[leftward|rightward];{A} <go> from [right to left|left to right]; {A} <drift> "
        "toward the [left|right]; {A} <move> [leftward|rightward]; {A} <go> over to the "
        "[left|right]; {A} <pass> from [right to left|left to right]; {A} <wander> to "
        "the [left|right]; {A} <run> [left|right]; {A} <push> on to the [left|right]",
        "{A} <glide> to the [left|right]; {A} <head> [left|right]",
        "{A} <shift> to the [left|right]; {A} <float> [leftward|rightward];{A} <cross> "
        "the view from [right to left|left to right]",
    ),
    "move_down": by_split(
        "{A} <move> [down|up]; {A} <go> [downward|upward]; {A} <slide> [down|up];{A} <travel> "
        "from [top to bottom|bottom to top]; {A} <drift> [down|up]; {A} <fall>|{A} <climb>; {A} "
        "<come> down|{A} <go> up; {A} <move> toward the [lower|upper] border; {A} <wander> "
        "[down|up]; {A} <go> lower and lower|{A} <go> higher and higher; {A} <pass> from [top to "
        "bottom|bottom to top]",
        "{A} <glide> [downward|upward]; {A} <head> [down|up]",
        "{A} <sink> lower|{A} <rise> higher; {A} <descend>|{A} <ascend>;{A} <shift> "
        "toward the [bottom|top]",
    ),
    "come_closer": by_split(
        "{A} <come> closer|{A} <go> away; {A} <move> toward the camera|{A} <move> away "
        "from the camera;{A} <come> nearer and nearer|{A} <go> farther and farther "
        "away;{A} <approach> the camera|{A} <retreat> from the camera; {A} <get> "
        "closer|{A} <get> farther away; {A} <come> to the front|{A} <go> to the back; "
        "{A} <move> forward|{A} <move> backward; {A} <step> closer|{A} <step> back; {A} "
        "<near> the camera|{A} <leave> the camera behind",
        "{A} <advance> toward the viewer|{A} <withdraw> from the viewer;{A} <come> up "
        "close|{A} <go> far off",
        "{A} <draw> near|{A} <recede>; {A} <travel> from far to near|{A} <travel> from "
        "near to far;{A} <head> toward us|{A} <head> away from us",
    ),
    "enter_left": by_split(
        "{A} <enter> from the left|{A} <leave> to the left; {A} <come> in from the left "
        "side|{A} <go> out on the left side; {A} <slide> in from the left|{A} <slide> "
        "out to the left;{A} <move> into view from the left|{A} <move> out of view to "
        "the left; {A} <come> into the picture from the left|{A} <go> out of the "
        "picture to the left; {A} <walk> in from the left|{A} <walk> out to the left; "
        "{A} <come> in over the left border|{A} <go> out over the left border; {A} "
        "<turn> up on the left|{A} <drop> out of view on the left; {A} <push> in from the "
        "left|{A} <push> out to the left",
        "{A} <arrive> from the left|{A} <depart> to the left;{A} <glide> into the "
        "picture from the left|{A} <glide> out of the picture to the left",
        "{A} <show> up from the left edge|{A} <exit> over the left edge;{A} <travel> "
        "into the frame from the left|{A} <travel> off the frame to the left",
    ),
    "enter_right": by_split(
        "{A} <enter> from the right|{A} <leave> to the right; {A} <come> in from the "
        "right side|{A} <go> out on the right side; {A} <slide> in from the right|{A} "
        "<slide> out to the right;{A} <move> into view from the right|{A} <move> out of "
        "view to the right; {A} <come> into the picture from the right|{A} <go> out of "
        "the picture to the right; {A} <walk> in from the right|{A} <walk> out to the "
        "right; {A} <come> in over the right border|{A} <go> out over the right border; "
        "{A} <turn> up on the right|{A} <drop> out of view on the right; {A} <push> in from the "
        "right|{A} <push> out to the right",
        "{A} <arrive> from the right|{A} <depart> to the right;{A} <glide> into the "
        "picture from the right|{A} <glide> out of the picture to the right",
        "{A} <show> up from the right edge|{A} <exit> over the right edge;{A} <travel> "
        "into the frame from the right|{A} <travel> off the frame to the right",
    ),
    "appear": by_split(
        "{A} <appear>|{A} <vanish>; {A} <become> visible|{A} <become> invisible;{A} "
        "<fade> in|{A} <fade> out; {A} <appear> out of nothing|{A} <disappear> into "
        "nothing; {A} <pop> up|{A} <pop> out of view; {A} <get> visible|{A} <get> invisible; "
        "{A} <become> solid|{A} <become> transparent; {A} <come> out of nowhere|{A} "
        "<go> into nowhere; {A} <come> into sight|{A} <go> out of sight",
        "{A} <emerge> out of thin air|{A} <dissolve> into thin air; {A} <turn> "
        "visible|{A} <turn> invisible",
        "{A} <materialize>|{A} <fade> from sight; {A} <come> into being|{A} <cease> to exist",
    ),
    "grow": by_split(
        "{A} <grow>|{A} <shrink>; {A} <get> bigger|{A} <get> smaller;{A} <become> larger|{A} "
        "<become> smaller; {A} <increase> in size|{A} <decrease> in size; {A} <end> up bigger|{A} "
        "<end> up smaller; {A} <gain> size|{A} <lose> size; {A} <stretch> out on all sides|{A} "
        "<draw> in on all sides; {A} <puff> up|{A} <shrivel> up; {A} <get> larger and larger|{A} "
        "<get> smaller and smaller",
        "{A} <expand>|{A} <contract>; {A} <swell> in size|{A} <dwindle> in size",
        "{A} <enlarge>|{A} <diminish>; {A} <go> from small to large|{A} <go> from large "
        "to small;{A} <inflate>|{A} <deflate>",
    ),
    "turn_clockwise": by_split(
        "{A} <turn> [clockwise|counterclockwise]; {A} <rotate> "
        "[clockwise|counterclockwise];{A} <rotate> to the [right|left] like the hands "
        "of a clock|{A} <rotate> to the left against the hands of a clock;{A} <make> a "
        "[clockwise|counterclockwise] turn; {A} <go> around "
        "[clockwise|counterclockwise]; {A} <twist> [clockwise|counterclockwise]; {A} "
        "<whirl> [clockwise|counterclockwise]; {A} <turn> around "
        "[clockwise|counterclockwise]; {A} <pivot> in the [clockwise|counterclockwise] "
        "way; {A} <keep> turning [clockwise|counterclockwise]",
        "{A} <spin> [clockwise|counterclockwise]; {A} <swivel> in a "
        "[clockwise|counterclockwise] sense",
        "{A} <revolve> [clockwise|counterclockwise];{A} <perform> a "
        "[clockwise|counterclockwise] rotation;{A} <roll> over in the "
        "[clockwise|counterclockwise] direction",
    ),
    "pick_up": by_split(
        "a hand <s:pick> up {O}|a hand <s:put> down {O}; a hand <s:lift> {O}|a hand "
        "<s:lower> {O};{A} <be> picked up by a hand|{A} <be> put down by a hand;a hand "
        "<s:take> {O} and <s:raise> {it}|a hand <s:lower> {O} and <s:let> go; a hand "
        "<s:raise> {O}|a hand <s:put> {O} back down; {A} <be> lifted by a hand|{A} <be> "
        "lowered by a hand; someone's hand <s:lift> {O} up|someone's hand <s:lower> {O} "
        "again; a hand <s:catch> {O} and <s:carry> {it} up|a hand <s:carry> {O} down "
        "and <s:release> {it}; fingers <p:pick> {O} up|fingers <p:put> {O} down",
        "a hand <s:hoist> {O} up|a hand <s:set> {O} down; {A} <be> raised by a hand|{A} "
        "<be> laid down by a hand",
        "a hand <s:grab> {O} and <s:pull> {it} up|a hand <s:bring> {O} down and "
        "<s:leave> {it} there;{A} <be> lifted off by a hand|{A} <be> placed below by a "
        "hand;someone's hand <s:seize> {O} from above|someone's hand <s:drop> {O} off "
        "and <s:retreat>",
    ),
    "cover": by_split(
        "{C} <s:cover> {O}|{C} <s:uncover> {O}; {A} <be> covered by {C}|{A} <be> uncovered as {C} "
        "is pulled away; {C} <s:hide> {O}|{C} <s:reveal> {O};{A} <disappear> behind {C}|{A} "
        "<come> out from behind {C}; {C} <s:fall> over {O}|{C} <s:lift> off {O}; {A} <get> "
        "covered with {C}|{A} <get> freed from {C}; {A} <be> hidden by {C}|{A} <be> revealed by "
        "{C}; {C} <s:block> {O}|{C} <s:free> {O}; {A} <go> behind {C}|{A} <come> back from behind "
        "{C}",
        "{C} <s:come> down over {O}|{C} <s:go> up from {O}; {A} <be> veiled by {C}|{A} "
        "<be> unveiled by {C}",
        "{C} <s:drop> in front of {O}|{C} <s:rise> in front of {O};{A} <get> concealed "
        "by {C}|{A} <get> exposed by {C}; {C} <s:shroud> {O}|{C} <s:unshroud> {O}",
    ),
    "stack": by_split(
        "{A} <be> stacked on {B}|{A} <be> taken off {B}; {A} <move> onto {B}|{A} <move> "
        "off {B};{A} <be> put on top of {B}|{A} <be> removed from the top of {B};{A} "
        "<climb> onto {B}|{A} <climb> down from {B}; {A} <be> placed on {B}|{A} <be> "
        "picked off {B}; {A} <step> onto {B}|{A} <step> off {B}; {A} <land> on {B}|{A} "
        "<take> off from {B}; {A} <go> up on {B}|{A} <go> down from {B}; {A} <be> laid "
        "on top of {B}|{A} <be> taken from the top of {B}",
        "{A} <get> on top of {B}|{A} <get> off the top of {B}; {A} <be> set on {B}|{A} "
        "<be> lifted off {B}",
        "{A} <be> piled onto {B}|{A} <be> unpiled from {B}; {A} <hop> on {B}|{A} <hop> "
        "off {B};{A} <come> to rest on {B}|{A} <come> down off {B}",
    ),
    "join": by_split(
        "{A} and {B} <p:come> together|{A} and {B} <p:move> apart;{A} and {B} <p:meet> in the "
        "middle|{A} and {B} <p:part> in the middle;{A} and {B} <p:move> toward each other|{A} and "
        "{B} <p:move> away from each other;{A} and {B} <p:join>|{A} and {B} <p:separate>; {A} and "
        "{B} <p:go> toward one another|{A} and {B} <p:go> away from one another; {A} <meet> "
        "{B}|{A} <leave> {B}; {A} <get> nearer to {B}|{A} <get> farther from {B}; {A} and {B} "
        "<p:gather>|{A} and {B} <p:scatter>; {A} and {B} <p:end> up together|{A} and {B} <p:end> "
        "up apart",
        "{A} and {B} <p:approach> each other|{A} and {B} <p:withdraw> from each "
        "other;{A} <join> up with {B}|{A} <part> from {B}",
        "{A} and {B} <p:unite>|{A} and {B} <p:split> up; the gap between {A} and {B} "
        "<s:close>|the gap between {A} and {B} <s:widen>; {A} and {B} <p:get> close to "
        "each other|{A} and {B} <p:get> far from each other",
    ),
    "close": by_split(
        "{A} <close>|{A} <open>; {A} <be> closed|{A} <be> opened; {A} <go> from open to "
        "closed|{A} <go> from closed to open; {A} <fall> shut|{A} <come> open; {A} "
        "<move> shut|{A} <move> open; {A} <be> pushed shut|{A} <be> pulled open; {A} "
        "<end> up closed|{A} <end> up open; somebody <s:close> {O}|somebody <s:open> "
        "{O}; {A} <go> shut|{A} <go> open",
        "{A} <shut>|{A} <open> up; {A} <get> closed|{A} <get> opened",
        "{A} <swing> shut|{A} <swing> open; {A} <be> shut tight|{A} <be> opened "
        "wide;{A} <become> closed|{A} <become> open",
    ),
    "empty": by_split(
        "{A} <empty>|{A} <fill> up; {C} <s:drain> out of {O}|{C} <s:fill> {O};{A} <be> "
        "emptied of {C}|{A} <be> filled with {C}; {C} <s:sink> in {O}|{C} <s:rise> in "
        "{O}; {C} <s:leave> {O}|{C} <s:enter> {O}; {A} <run> dry|{A} <get> full; {C} "
        "<s:go> down in {O}|{C} <s:go> up in {O}; {A} <get> emptier and emptier|{A} "
        "<get> fuller and fuller; {C} <s:pour> out of {O}|{C} <s:pour> into {O}",
        "{C} <s:run> out of {O}|{C} <s:run> into {O}; {A} <lose> all of {its} {c}|{A} "
        "<receive> {C}",
        "{C} <s:flow> out of {O}|{C} <s:flow> into {O}; {A} <go> from full to empty|{A} "
        "<go> from empty to full; the level of {C} in {O} <s:drop>|the level of {C} in "
        "{O} <s:climb>",
    ),
    "light_off": by_split(
        "{A} <turn> [off|on]; {A} <go> [dark|bright]; {A} <be> turned [off|on];{A} <be> "
        "switched [off|on]; {A} <stop> shining|{A} <start> shining; {A} <become> "
        "dark|{A} <become> bright; {A} <switch> [off|on]; somebody <s:turn> {O} "
        "[off|on]; {A} <lose> {its} light|{A} <give> light",
        "{A} <get> turned [off|on]; the light of {O} <s:go> [off|on]",
        "{A} <go> out|{A} <light> up; {A} <cease> to glow|{A} <begin> to glow;{A} <be> "
        "put out|{A} <be> lit",
    ),
    "jump": by_split(
        "{A} <jump> up and down; {A} <hop> in place; {A} <jump> twice; {A} <bounce>; "
        "{A} <hop> up and down; {A} <jump> two times; {A} <make> two jumps; {A} "
        "<bounce> on the spot",
        "{A} <leap> up twice; {A} <skip> up and down",
        "{A} <spring> up two times; {A} <do> two hops; {A} <bob> up and down",
    ),
    "wobble": by_split(
        "{A} <wobble>; {A} <rock> from side to side; {A} <shake>; {A} <sway> to and "
        "fro; {A} <rock> to and fro; {A} <quiver>; {A} <shake> from side to side; {A} "
        "<lean> left and right; {A} <rock> left and right",
        "{A} <swing> back and forth; {A} <jiggle>",
        "{A} <tilt> one way and the other; {A} <teeter>; {A} <waggle> left and right",
    ),
}
"""By the first name of each pair of opposites, see `events.pair_name`."""

TEMPO: dict[str, BySplit] = {
    "slow": by_split(
        "slowly; at a slow pace; in slow motion; at low speed; gradually",
        "without hurry",
        "at a leisurely speed; sluggishly",
    ),
    "quick": by_split(
        "quickly; at a fast pace; fast; at high speed; speedily; in a flash",
        "in a hurry",
        "at a rapid speed; swiftly",
    ),
    "jerky": by_split(
        "jerkily; in jerks; stutteringly; with jolts; jolt by jolt",
        "in fits and starts",
        "haltingly; with short stops",
    ),
    "smooth": by_split(
        "smoothly; in one motion; steadily; without a jerk",
        "evenly",
        "fluidly; without a stop",
    ),
    "faster": by_split(
        "faster and faster; with growing speed; with more and more speed; speeding up",
        "gaining speed",
        "at an accelerating pace; ever more quickly",
    ),
    "slower": by_split(
        "slower and slower; with falling speed; with less and less speed; slowing down",
        "losing speed",
        "at a decelerating pace; ever more slowly",
    ),
}

ORDER_2: BySplit = by_split(
    "{1}, then {2}; first {1}, then {2}; {1} before {2}; after {1}, {2}; {1} and "
    "then {2};before {2}, {1}; {2} after {1}; {1} and after that {2}; first of all "
    "{1}, then {2}; {1}, after which {2}; {1}, and only then {2}; {2}, once {1}; once "
    "{1}, {2}; {1}, followed by this: {2}; {2} only after {1}",
    "{1}, and next {2}; at first {1}, later {2}; {2}, but before that {1}",
    "{1}, and afterward {2}; to begin with, {1}, and subsequently {2};{2}, but not "
    "before {1}; {1}, whereupon {2}; earlier on {1}, and later {2}",
)
ORDER_3: BySplit = by_split(
    "{1}, then {2}, then {3}; first {1}, then {2}, and finally {3}; {1}, {2}, and "
    "after that {3};{1} before {2}, and then {3}; {1}, after which {2}, and then "
    "{3}; first of all {1}, then {2}, and then {3}; after {1}, {2}, and then {3}; "
    "{1}, and then {2}, and then {3}; once {1}, {2}, and after that {3}",
    "at first {1}, later {2}, and last {3}; {1}, next {2}, and next {3}",
    "to begin with, {1}, afterward {2}, and in the end {3}; {1}, subsequently {2}, "
    "and lastly {3};{1}, whereupon {2}, and eventually {3}",
)
ORDER_4: BySplit = by_split(
    "{1}, then {2}, then {3}, and finally {4}; first {1}, then {2}, after that {3}, "
    "and then {4}; {1}, and then {2}, and then {3}, and then {4}; first of all {1}, "
    "then {2}, then {3}, and then {4}",
    "at first {1}, next {2}, later {3}, and last {4}",
    "to begin with, {1}, afterward {2}, subsequently {3}, and in the end {4}",
)
CUT: BySplit = by_split(
    "{1}, then the scene changes and {2}; {1}, and after a cut {2}; {1}, and in the "
    "next shot {2}; {1}, then comes a cut and {2}; {1}, and with a change of scene "
    "{2}; {1}, then in a new scene {2}; {1}, and after the scene changes {2}",
    "{1}, then the picture switches and {2}; {1}, and in another shot {2}",
    "{1}, the video jumps elsewhere, and {2}; {1}, and following a cut {2};{1}, and "
    "in a later shot {2}",
)

FRAMES: BySplit = by_split(
    "{C} {P}; {P}, {C}; a video in which {C} {P}; the video shows how {C} {P}; {P}: {C};in the "
    "video, {C} {P}; {C} {P} in this video; one sees how {C} {P}; a short video: {C} {P}; it is "
    "shown how {C} {P}; this is how {C} {P}; {P}, it happens that {C}; a film in which {C} {P}; "
    "what happens is that {C} {P}; look, {C} {P}; {C}, all of it {P}; {C}, and this happens {P}; "
    "{P}, you can see that {C}; a movie of how {C} {P}; this is the scene: {C} {P}; look: {P}, "
    "{C}",
    "in this recording, {C} {P}; a recording where {C} {P}; someone filmed how {C} "
    "{P};{P} one finds that {C}; what was filmed: {C} {P}; on record, {C} {P}",
    "{C}, {P}; here, {P}, {C}; footage in which {C} {P}; we see how {C} {P}; a clip "
    "where {C} {P};watch how {C} {P}; this clip tells how, {P}, {C}",
)
PARTICIPLE_FRAMES: BySplit = by_split(
    "{G} {P}; a video of {G} {P}; the video shows {G} {P}; this is a video of {G} "
    "{P}; a film of {G} {P}; you can see {G} {P}; a movie with {G} {P}; a shot of "
    "{G} {P}; {G}, {P}; the picture shows {G} {P}",
    "a recording of {G} {P}; someone filmed {G} {P}; we are shown {G} {P};on record is {G} {P}",
    "a clip of {G} {P}; footage of {G} {P}; one can see {G} {P}; watch {G} {P};a "
    "scene with {G} {P}; here we have {G} {P}",
)
"""For a single event whose subject is the actor: `a video of a fox moving to the left`."""

BYSTANDER: BySplit = by_split(
    "with {X} nearby; next to {X}; beside {X}; near {X}; with {X} around; with {X} "
    "standing by; by the side of {X}; not far from {X}; with {X} in the picture too",
    "close to {X}; with {X} at hand",
    "in the presence of {X}; in the company of {X}; accompanied by {X}",
)
CAMERA: dict[str, BySplit] = {
    "pan_left": by_split(
        "while the camera pans left; as the view moves to the left; with a pan to the "
        "left; while the view slides left; with the camera panning left",
        "while the camera turns left",
        "with the camera sweeping leftward",
    ),
    "pan_right": by_split(
        "while the camera pans right; as the view moves to the right; with a pan to the "
        "right; while the view slides right; with the camera panning right",
        "while the camera turns right",
        "with the camera sweeping rightward",
    ),
    "zoom_in": by_split(
        "while the camera zooms in; as the view zooms in; with a zoom in; while the "
        "camera gets closer; with the camera zooming in",
        "while the picture is magnified",
        "with the lens zooming in",
    ),
    "zoom_out": by_split(
        "while the camera zooms out; as the view zooms out; with a zoom out; while the "
        "camera gets farther away; with the camera zooming out",
        "while the picture is reduced",
        "with the lens zooming out",
    ),
    "shake": by_split(
        "while the camera shakes; as the view trembles; while the view wobbles; as the "
        "camera trembles; with a trembling view",
        "while the picture is unsteady",
        "with a shaky camera",
    ),
}
LIGHT: dict[str, BySplit] = {
    "darkening": by_split(
        "while it gets darker; as the light fades; while it grows dark; as it gets "
        "dark; with the light going down",
        "while the picture dims",
        "with the scene darkening",
    ),
    "brightening": by_split(
        "while it gets brighter; as the light grows; while it grows bright; as it gets "
        "bright; with the light coming up",
        "while the picture lights up",
        "with the scene brightening",
    ),
}
ABSENT: BySplit = by_split(
    "There is no {N} in the video; No {N} is seen; The video does not show {a}; No {N} appears in "
    "the video; Not one {N} can be seen; You cannot see {a}; The video contains no {N}",
    "Nowhere is there {a}; Not a single {N} is there",
    "There isn't any {N} in it; {a!} never shows up; One can't find {a} here",
)
PRESENT: BySplit = by_split(
    "There is {a} in the video; {a!} is seen; The video does show {a}; {a!} appears "
    "in the video; One {N} can be seen; You can see {a}; The video contains {a}",
    "Somewhere there is {a}; At least one {N} is there",
    "There is indeed {a} in it; {a!} does show up; One can find {a} here",
)
"""The denial of `ABSENT`, number by number."""
