"""Wordings of places, times of day and backgrounds."""

from kinoscope.training.world.wordings import BySplit, by_split

PLACES: dict[str, BySplit] = {
    "beach": by_split(
        "on a beach; on a sandy beach; with a beach in the background; in a seaside "
        "scene; on the coast; at the seaside; in front of a beach; with a beach behind; "
        "in a beach scene",
        "at the beach; by the beach",
        "on the shore of a beach; on the sand of a beach",
    ),
    "desert": by_split(
        "in a desert; in a sandy desert; with a desert in the background; out in the "
        "desert; in a desert scene; with a desert behind; where a desert stretches out; "
        "in a hot and barren desert; in front of a desert",
        "amid desert dunes; on desert sand",
        "in the middle of a desert; in a dry desert",
    ),
    "meadow": by_split(
        "in a meadow; on a green meadow; with a meadow in the background; on a pasture; "
        "on a lawn; in a meadow scene; with a meadow behind; out in a green meadow; in "
        "front of a meadow",
        "on a grassy field; over the grass",
        "in a flowery meadow; on a meadow with flowers",
    ),
    "forest": by_split(
        "in a forest; among the trees of a forest; with a forest in the background; "
        "with many trees behind; in front of trees; in a woodland; in a forest scene; "
        "deep in the forest; in front of a forest",
        "in the woods; among fir trees",
        "in the middle of a forest; in a dense forest",
    ),
    "sea": by_split(
        "at sea; on the sea; with the sea in the background; out at sea; on salt water; "
        "in a sea scene; with the sea behind; in front of the sea; where the sea stretches out",
        "over the water of the ocean; on the ocean",
        "out on the open sea; over the waves of the sea",
    ),
    "snowfield": by_split(
        "on a snowy field; in the snow; with snow in the background; in a winter scene; "
        "where snow lies; on a field in winter; in deep snow; with snow behind; in "
        "front of snow",
        "on snow-covered ground; over the snow",
        "in a snowy landscape; on a white field of snow",
    ),
    "mountains": by_split(
        "in the mountains; in front of mountains; with mountains in the background; "
        "among high mountains; with mountains behind; in a mountain scene; high up in "
        "the mountains; below tall mountains; where there are mountains",
        "at the foot of mountains; near mountains",
        "in a landscape with mountains; before snowy peaks",
    ),
    "city": by_split(
        "in a city; in front of tall buildings; with a city in the background; with "
        "tall buildings behind; among houses; in a city scene; in front of a skyline; "
        "in an urban place; in front of a city",
        "in town; downtown",
        "in a city with tall buildings; on a city square",
    ),
    "road": by_split(
        "on a road; on a country road; with a road in the background; on a lane; on a "
        "highway; in a scene by the roadside; with a road behind; where a road runs; in "
        "front of a road",
        "along a road; on the street",
        "on a road between fields; on a straight road",
    ),
    "room": by_split(
        "in a room; in a room with a window; with a room in the background; in a living "
        "room; within four walls; in a house; in a room scene; under a roof; with a "
        "window behind",
        "indoors; in a home",
        "inside a room; in a room with a wooden floor",
    ),
    "sky": by_split(
        "in the sky; among the clouds; with the sky in the background; high up in the "
        "sky; with clouds behind; in front of clouds; in a sky scene; where the clouds "
        "are; aloft in the sky",
        "in a cloudy sky; in the air",
        "in the open sky; between clouds",
    ),
    "space": by_split(
        "in space; among the stars; with stars in the background; in front of stars; "
        "out in space; in the universe; in a space scene; with stars behind; where the "
        "stars are",
        "in a starry space; in the cosmos",
        "in outer space; surrounded by stars",
    ),
    "underwater": by_split(
        "under water; underwater; with water all around; in the depths of the sea; "
        "beneath the water; in an underwater scene; far beneath the waves; on the bottom of "
        "the sea; with deep water behind",
        "below the surface of the sea; submerged in water",
        "deep under water; down in the water",
    ),
}
TIME: dict[str, BySplit] = {
    "day": by_split(
        "by day; in daylight; by the light of day; around noon; in bright sunshine; "
        "in the middle of the day; at midday; on a bright day",
        "in broad daylight; at daytime",
        "during the day; while it is day",
    ),
    "sunset": by_split(
        "at sunset; in the evening light; at sundown; in the evening; in the glow of "
        "evening; late in the day; when evening comes; toward evening",
        "at dusk; in the red light of evening",
        "while the sun is setting; as the sun goes down",
    ),
    "night": by_split(
        "at night; by night; in the night; after dark; under a dark sky; late at night; "
        "at midnight; on a dark night",
        "in the dark of night; in darkness",
        "during the night; while it is night",
    ),
}
PLAIN = by_split(
    "on a plain {1} background; on a {1} background; in front of a {1} wall; with "
    "{1} behind; with a plain {1} background; on {1} paper; on a {1} screen; with "
    "nothing but {1} behind; in front of plain {1}; on plain {1}; on an empty {1} "
    "canvas; where everything behind is {1}; with the background all {1}; in an otherwise "
    "{1} picture",
    "against plain {1}; before plain {1}",
    "against a solid {1} backdrop; on a uniform {1} ground",
)
GRADIENT = by_split(
    "on a background that fades from {1} to {2}; on a {1} to {2} gradient; with a "
    "background fading from {1} into {2}; in front of {1} that passes into {2}; on "
    "{1} blending into {2}; on a background partly {1} and partly {2}; with {1} "
    "fading to {2} behind; on a smooth blend of {1} and {2}; on a background of {1} "
    "and {2}; where {1} melts into {2} behind; on paper colored {1} to {2}; with "
    "the background {1} first and then {2}; on a screen that is {1} and {2}; with "
    "{1} and {2} behind",
    "against {1} turning into {2}; before {1} that turns {2}",
    "against a backdrop going from {1} to {2}; on a ground that shades from {1} into {2}",
)
PATTERN: dict[str, BySplit] = {
    "stripes": by_split(
        "on a striped {1} background; on {1} stripes; in front of {1} stripes; with {1} "
        "stripes behind; with a striped {1} background; on striped {1} paper; on a {1} "
        "background with stripes; in front of a striped {1} wall; on a pattern of {1} "
        "stripes; where the background has {1} stripes",
        "against {1} stripes; before {1} stripes",
        "against a striped {1} backdrop; on a striped {1} ground",
    ),
    "checks": by_split(
        "on a checkered {1} background; on {1} checks; in front of {1} checks; with {1} "
        "checks behind; with a checkered {1} background; on checkered {1} paper; on a "
        "{1} background with checks; in front of a checkered {1} wall; on a pattern of "
        "{1} checks; on a {1} chessboard",
        "against {1} checks; before {1} checks",
        "against a checkered {1} backdrop; on a checkered {1} ground",
    ),
    "dots": by_split(
        "on a dotted {1} background; on {1} dots; in front of {1} dots; with {1} dots "
        "behind; with a dotted {1} background; on dotted {1} paper; on a {1} background "
        "with dots; in front of a dotted {1} wall; on a pattern of {1} dots; where the "
        "background has {1} spots",
        "against {1} dots; before {1} dots",
        "against a dotted {1} backdrop; on a dotted {1} ground",
    ),
    "bricks": by_split(
        "in front of bricks", "by bricks", "in front of a brick wall; against a wall of bricks"
    ),
    "wood": by_split(
        "in front of planks",
        "in front of a wooden wall; against a wall of wood",
        "before wooden boards",
    ),
}
