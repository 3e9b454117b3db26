"""Wordings of places, times of day and backgrounds."""

from kinoscope.training.world.wordings import BySplit, by_split

PLACES: dict[str, BySplit] = {
    "beach": by_split(
        "on a beach; on a sandy beach",
        "at the beach; by the beach",
        "on the shore of a beach; on the sand of a beach",
    ),
    "desert": by_split(
        "in a desert; in a sandy desert",
        "amid desert dunes; on desert sand",
        "in the middle of a desert; in a dry desert",
    ),
    "meadow": by_split(
        "in a meadow; on a green meadow",
        "on a grassy field; over the grass",
        "in a flowery meadow; on a meadow with flowers",
    ),
    "forest": by_split(
        "in a forest; among the trees of a forest",
        "in the woods; among fir trees",
        "in the middle of a forest; in a dense forest",
    ),
    "sea": by_split(
        "at sea; on the sea",
        "over the water of the ocean; on the ocean",
        "out on the open sea; over the waves of the sea",
    ),
    "snowfield": by_split(
        "on a snowy field; in the snow",
        "on snow-covered ground; over the snow",
        "in a snowy landscape; on a white field of snow",
    ),
    "mountains": by_split(
        "in the mountains; in front of mountains",
        "at the foot of mountains; near mountains",
        "in a landscape with mountains; before snowy peaks",
    ),
    "city": by_split(
        "in a city; in front of tall buildings",
        "in town; downtown",
        "in a city with tall buildings; on a city square",
    ),
    "road": by_split(
        "on a road; on a country road",
        "along a road; on the street",
        "on a road between fields; on a straight road",
    ),
    "room": by_split(
        "in a room; in a room with a window",
        "indoors; in a home",
        "inside a room; in a room with a wooden floor",
    ),
    "sky": by_split(
        "in the sky; among the clouds",
        "in a cloudy sky; in the air",
        "in the open sky; between clouds",
    ),
    "space": by_split(
        "in space; among the stars",
        "in a starry space; in the cosmos",
        "in outer space; surrounded by stars",
    ),
    "underwater": by_split(
        "under water; underwater",
        "below the surface of the sea; submerged in water",
        "deep under water; down in the water",
    ),
}
TIME: dict[str, BySplit] = {
    "day": by_split(
        "by day; in daylight", "in broad daylight; at daytime", "during the day; while it is day"
    ),
    "sunset": by_split(
        "at sunset; in the evening light",
        "at dusk; in the red light of evening",
        "while the sun is setting; as the sun goes down",
    ),
    "night": by_split(
        "at night; by night",
        "in the dark of night; in darkness",
        "during the night; while it is night",
    ),
}
PLAIN = by_split(
    "on a plain {1} background; on a {1} background",
    "against plain {1}; before plain {1}",
    "against a solid {1} backdrop; on a uniform {1} ground",
)
GRADIENT = by_split(
    "on a background that fades from {1} to {2}; on a {1} to {2} gradient",
    "against {1} turning into {2}; before {1} that turns {2}",
    "against a backdrop going from {1} to {2}; on a ground that shades from {1} into {2}",
)
PATTERN: dict[str, BySplit] = {
    "stripes": by_split(
        "on a striped {1} background; on {1} stripes",
        "against {1} stripes; before {1} stripes",
        "against a striped {1} backdrop; on a striped {1} ground",
    ),
    "checks": by_split(
        "on a checkered {1} background; on {1} checks",
        "against {1} checks; before {1} checks",
        "against a checkered {1} backdrop; on a checkered {1} ground",
    ),
    "dots": by_split(
        "on a dotted {1} background; on {1} dots",
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
