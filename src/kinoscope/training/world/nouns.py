"""Nouns: what the sprites show, which split may use them, which cannot be told apart."""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from kinoscope.training.world.drawn import DRAWN
from kinoscope.training.world.photographed import PHOTOGRAPHED
from kinoscope.training.world.scene import Split

Sprites = Literal["photographed", "drawn"]

TEST = """
    badger; bee; crane; dingo; dog; duck; elephant; flamingo; frog; gorilla; hen; horse; lion;
    magpie; otter; parrot; pig; rat; sea lion; squirrel; tiger; whale; wild boar; worm; zebra;
    apple; banana; box of popcorn; corn cob; cup of bubble tea; cup of coffee; garlic bulb; lemon;
    mango; pear; pomegranate; potato; pretzel; pumpkin; raspberry; strawberry; teapot; airplane;
    car; fighter jet; fire engine; garbage truck; hot-air balloon; racing car; shopping cart;
    alarm clock; balloon; basket; bell; candle; joystick; kettle; light bulb; mailbox; mug; pair
    of binoculars; shield; traffic light; umbrella; wastebasket; bow and arrow; broom; cement
    mixer; fountain pen; hammer; plunger; screwdriver; stethoscope; syringe; Christmas stocking;
    army helmet; coat; dress; sombrero; baseball; billiard ball; ping-pong paddle; soccer ball;
    tennis racket; accordion; cello; flute; guitar; Christmas tree; bunch of flowers; iris; palm
    tree; petunia; potted plant; Greek temple; church; house; windmill; Santa Claus; baby;
    firefighter; man; police officer; runner; skull; bone; waving hand; fire; globe
"""
VALIDATION = """
    butterfly fish; camel; chimpanzee; fox; goose; heron; kangaroo; koala; ostrich; rooster;
    sheep; vulture; bell pepper; glass of wine; orange; pie; piece of broccoli; pineapple; slice
    of lime; slice of orange; parachute; sailboat; tricycle; wheelchair; baby bottle; bathtub;
    cardboard box; game controller; hourglass; laptop; television; bucket; compass; padlock;
    paintbrush; wrench; graduation cap; handbag; pair of sunglasses; American football;
    volleyball; electric guitar; pair of maracas; marigold; porcini mushroom; rose; shrine gate;
    totem pole; astronaut; clown; cyclist; raised fist; cloud
"""
"""Held-out nouns: a fifth and a tenth of each category. Those of the test are among the nouns an
ImageNet classifier knows: of the others a model that never saw them could know nothing."""

GROUPS = """
    car, sports car, racing car, taxi, van, pickup truck; truck, pickup truck, dump truck, garbage
    truck, fire engine, cement mixer; bus, double-decker bus; tram, bullet train, steam train;
    dog, poodle, dingo, wolf, fox; bear, panda, koala, teddy bear; sheep, ram, lamb, goat, llama;
    cow, bull, yak, bison, gnu; horse, donkey, zebra, unicorn; deer, reindeer, moose;
    mouse, rat, hamster, squirrel, chipmunk; marmot, beaver, capybara, wombat, otter, ferret,
    badger, skunk; gorilla, chimpanzee, orangutan; seal, sea lion; whale, orca, dolphin, shark;
    duck, goose, swan; hen, rooster, turkey, guineafowl, peacock; crow, blackbird, magpie, lark;
    crane, heron, flamingo, ostrich, pelican; eagle, vulture, owl; seagull, pigeon, dove;
    bee, hornet, mosquito, moth, butterfly, fly; iguana, crocodile, snake, dragon, dinosaur;
    shrimp, lobster, crab; squid, octopus, jellyfish; grasshopper, praying mantis;
    slug, snail, worm, caterpillar; woodlouse, ladybug, spider, scorpion; tiger, leopard, cat,
    lion; pig, wild boar, hippopotamus, rhinoceros; butterfly fish, lionfish, trout, pufferfish;
    orange, tangerine, slice of orange, slice of lime, lemon; apple, tomato, pomegranate;
    apricot, peach, mango; onion, garlic bulb; mushroom, porcini mushroom; pumpkin,
    jack-o'-lantern; pie, birthday cake, slice of cake, cupcake, Christmas pudding; loaf of bread,
    baguette, bagel, croissant, pretzel; cookie, doughnut; chili pepper, bell pepper; almond,
    pecan, walnut, peanut; steak, piece of meat, chicken leg, roast chicken; lollipop, candy cane,
    piece of candy; mug, cup of coffee, mug of beer, glass of milk, glass of wine, cocktail glass,
    cup of bubble tea, drinking glass; teapot, kettle, pitcher; trash can, wheelie bin,
    wastebasket; backpack, handbag, purse, briefcase, suitcase, toolbox; stack of books, book;
    cardboard box, present, box; mailbox, stop sign; candle, light bulb, paper lantern, lamp,
    lantern, street lamp, flashlight; baby bottle, bottle of lotion, bottle, jar, vase; laptop,
    desktop computer, television; alarm clock, wristwatch; camera, film camera; pencil, crayon,
    marker, fountain pen, paintbrush; hammer, mallet, axe, pickaxe;
    kitchen knife, dagger; screwdriver, wrench; top hat, fedora, sombrero,
    sun hat, baseball cap, Santa hat, graduation cap, knight's helmet, army helmet; boot, running
    shoe, ski boot, ice skate, roller skate; T-shirt, coat, dress, kimono,
    safety vest, parachute; cricket ball, baseball, tennis ball, volleyball, soccer ball,
    basketball, billiard ball, American football; tennis racket, badminton racket; guitar,
    electric guitar, banjo; violin, cello; drum, drum kit, bongo drum, cymbal; trumpet, saxophone;
    rose, tulip, sunflower, hibiscus, cherry blossom, daisy, lotus flower, hyacinth, daffodil,
    anemone, iris, marigold, petunia, anthurium, bunch of flowers; leafy tree, bare tree,
    palm tree, fir tree, Christmas tree, potted plant, seedling, cactus; tent, circus tent, tepee,
    igloo; house, hut, log cabin, school, hospital, factory, church, castle, Japanese castle,
    Greek temple, windmill, well; full moon, crescent moon, ringed planet, globe; cloud, tornado;
    raised fist, waving hand, victory sign, OK sign, flexed arm, finger pointing up, thumbs-up
    sign; airplane, fighter jet; sailboat, ship, speedboat, canoe, tugboat, submarine; motorcycle,
    bicycle, tricycle, cyclist; balloon, hot-air balloon; bow and arrow, arrow; bone, tooth, skull
"""
"""Kinds that look alike, or of which one is the other: they never share a video, nor is one said
to be absent where another is present."""

_IRREGULAR = {
    "wolf": "wolves",
    "scarf": "scarves",
    "leaf": "leaves",
    "knife": "knives",
    "loaf": "loaves",
    "mouse": "mice",
    "woodlouse": "woodlice",
    "goose": "geese",
    "foot": "feet",
    "tooth": "teeth",
    "man": "men",
    "woman": "women",
    "person": "people",
    "tornado": "tornadoes",
    "mango": "mangoes",
    "tomato": "tomatoes",
    "potato": "potatoes",
    "dingo": "dingoes",
    "bunch": "bunches",
}
_UNCHANGED = {
    "deer",
    "sheep",
    "bison",
    "squid",
    "shrimp",
    "moose",
    "guineafowl",
    "trout",
    "reindeer",
}
_HEAD = re.compile(
    r"^(pair|bunch|box|slice|piece|pot|bowl|cup|glass|mug|stack|plate|loaf|ball|"
    r"spool|bottle|bar|set|head)( of .*)$|^(person|finger)( .*)$"
)


@dataclass(frozen=True)
class Noun:
    """A kind of thing with its pictures: `looks` are `drawn/CODE` or `photographed/FILE`."""

    name: str
    category: str
    split: Split
    looks: tuple[str, ...]


@lru_cache(maxsize=1)
def all_nouns() -> dict[str, Noun]:
    """Every noun by its name, in the order of the tables."""
    looks: dict[str, list[str]] = {}
    category: dict[str, str] = {}
    for kind, table in PHOTOGRAPHED.items():
        for entry in _entries(table):
            name, _, files = entry.partition(": ")
            category[name] = kind
            looks.setdefault(name, []).extend(f"photographed/{file}" for file in files.split())
    for kind, table in DRAWN.items():
        for entry in _entries(table):
            code, _, name = entry.partition(" ")
            category.setdefault(name, kind)
            looks.setdefault(name, []).append(f"drawn/{code}")
    held: dict[str, Split] = dict.fromkeys(_entries(TEST), "test")
    held |= dict.fromkeys(_entries(VALIDATION), "validation")
    assert set(held) <= set(looks), set(held) - set(looks)
    return {
        name: Noun(name, category[name], held.get(name, "train"), tuple(found))
        for name, found in looks.items()
    }


@lru_cache(maxsize=32)
def nouns_of(split: Split, sprites: tuple[str, ...]) -> tuple[Noun, ...]:
    """The nouns of a split that have a picture among `sprites`, with those pictures only."""
    found = []
    for noun in all_nouns().values():
        looks = tuple(look for look in noun.looks if look.split("/")[0] in sprites)
        if noun.split == split and looks:
            found.append(Noun(noun.name, noun.category, split, looks))
    return tuple(found)


@lru_cache(maxsize=1)
def _groups() -> dict[str, frozenset[str]]:
    alike: dict[str, set[str]] = {}
    for group in _entries(GROUPS):
        names = {name.strip() for name in group.split(",")}
        for name in names:
            alike.setdefault(name, set()).update(names)
    return {name: frozenset(names) for name, names in alike.items()}


def confusable(first: str, second: str) -> bool:
    """Whether one could be taken for the other; people all can: a farmer may be a woman."""
    if first == second or second in _groups().get(first, ()):
        return True
    known = all_nouns()
    return all(name in known and known[name].category == "person" for name in (first, second))


def plural(name: str) -> str:
    """The plural of a noun of the tables: `pair of socks` -> `pairs of socks`."""
    headed = _HEAD.match(name)
    if headed:
        return _plural(headed[1] or headed[3]) + (headed[2] or headed[4])
    if name == "bow and arrow":
        return "bows and arrows"
    before, _, last = name.rpartition(" ")
    return f"{before} {_plural(last)}".strip()


def _plural(word: str) -> str:
    if word in _UNCHANGED or word.endswith("fish"):
        return word
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if word.endswith(("s", "x", "ch", "sh")):
        return word + "es"
    if word.endswith("y") and word[-2] not in "aeiou":
        return word[:-1] + "ies"
    return word + "s"


def _entries(table: str) -> list[str]:
    return [" ".join(entry.split()) for entry in table.split(";") if entry.strip()]
