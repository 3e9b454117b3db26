"""Sprite table 2: photographs of the Tux Paint stamps, an everyday name and their files."""

PHOTOGRAPHED = {
    "animal": """
    fox: animals/mammals/dogs/fox; dog: animals/mammals/dogs/dog; tiger:
    animals/mammals/cats/tiger animals/mammals/cats/tiger_sumatran; lion:
    animals/mammals/cats/lion-2 animals/mammals/cats/lion; elephant: animals/mammals/elephant;
    rhinoceros: animals/mammals/rhino_black; hippopotamus: animals/mammals/hippopotamus; giraffe:
    animals/mammals/giraffe; zebra: animals/mammals/equines/zebra; deer: animals/mammals/deer/deer
    animals/mammals/deer/doe animals/mammals/deer/wapiti; cow: animals/mammals/bovines/cow
    animals/mammals/bovines/cow_white; pig: animals/mammals/pig animals/mammals/pig_golden; sheep:
    animals/mammals/bovines/sheep; goat: animals/mammals/bovines/goat; camel:
    animals/mammals/camel/camel animals/mammals/camel/dromedary; kangaroo:
    animals/marsupials/kangaroo; koala: animals/marsupials/koala; bear: animals/mammals/bears/bear
    animals/mammals/bears/european-bear; rabbit: animals/mammals/rabbit_little
    animals/mammals/rodents/rabbit animals/mammals/rodents/rabbit-2; otter:
    animals/mammals/aquatic/otter; badger: animals/mammals/badger; beaver:
    animals/mammals/rodents/beaver; gorilla: animals/mammals/apes/gorilla; horse:
    animals/mammals/equines/horse; bison: animals/mammals/bovines/bison; dolphin:
    animals/mammals/aquatic/dolphin; whale: animals/mammals/aquatic/whale; lobster:
    animals/fish/lobster; frog: animals/amphibians/frog animals/amphibians/frog-1; mouse:
    animals/mammals/rodents/mouse; rooster: animals/birds/rooster; turkey: animals/birds/turkey;
    duck: animals/birds/duck animals/birds/drake; flamingo: animals/birds/pink_flamingo; peacock:
    animals/birds/peacock; parrot: animals/birds/rainbow-lorikeet animals/birds/adelaide-rosella;
    owl: animals/birds/owl; penguin: animals/birds/penguin animals/birds/little-penguin
    animals/birds/magellanic_penguin; bee: animals/insects/bee animals/insects/hoverfly; donkey:
    animals/mammals/equines/donkey animals/mammals/equines/donkey_eating; goose:
    animals/birds/gander; blackbird: animals/birds/blackbird; hen: animals/birds/hen
    animals/birds/chicken_profile; crow: animals/birds/crow; crane: animals/birds/crowned_crane;
    guineafowl: animals/birds/guineafowl animals/birds/helmeted_guineafowl; heron:
    animals/birds/heron_greatblue animals/birds/heron_greatblue_flying; lark: animals/birds/lark;
    magpie: animals/birds/magpie; ostrich: animals/birds/ostrich animals/birds/nandou; pelican:
    animals/birds/pelican; pigeon: animals/birds/pigeon; seagull: animals/birds/seagull
    animals/birds/silver-gull; toucan: animals/birds/tucan; vulture: animals/birds/vulture;
    butterfly fish: animals/fish/butterflyfish; lionfish: animals/fish/lionfish; trout:
    animals/fish/coraltrout; seahorse: animals/fish/seahorse; slug: animals/insects/Brown_slug;
    woodlouse: animals/insects/Woodlouse; moth: animals/insects/xanthia; fly: animals/insects/fly
    animals/insects/cartoon/fly; grasshopper: animals/insects/grasshopper; hornet:
    animals/insects/hornet; praying mantis: animals/insects/mantis; iguana:
    animals/lizards/iguana; chimpanzee: animals/mammals/apes/chimp; orca:
    animals/mammals/aquatic/orca; sea lion: animals/mammals/aquatic/sea_lion; bull:
    animals/mammals/bovines/bull animals/mammals/bovines/zebu; gnu:
    animals/mammals/bovines/gnu-stand animals/mammals/bovines/gnu-baby-stand; ram:
    animals/mammals/bovines/ram; lamb: animals/mammals/bovines/sheep_lamb; yak:
    animals/mammals/bovines/yak; reindeer: animals/mammals/deer/caribou; dingo:
    animals/mammals/dogs/dingo; echidna: animals/mammals/echidna; ferret: animals/mammals/ferret;
    capybara: animals/mammals/rodents/capybara; marmot: animals/mammals/rodents/marmot; rat:
    animals/mammals/rodents/rat; squirrel: animals/mammals/rodents/squirrel; wild boar:
    animals/mammals/wildboar; wombat: animals/marsupials/wombat
    """,
    "food": """
    apple: food/fruit/apple_red food/fruit/apple_fuji food/fruit/apple_sierra_beauty; pear:
    food/fruit/pear; lemon: food/fruit/lemon; banana: food/fruit/banana; bunch of grapes:
    food/fruit/grapes; strawberry: food/fruit/Strawberry2 food/fruit/strawberry; pair of cherries:
    food/fruit/Cherry_Stella; mango: food/fruit/mango; pineapple: food/fruit/pineapple; tomato:
    food/vegetables/tomato; eggplant: food/vegetables/eggplant; chili pepper:
    food/vegetables/chilepepper; corn cob: food/vegetables/corn; carrot: food/vegetables/carrot;
    garlic bulb: food/vegetables/garlic; onion: food/vegetables/onion; potato:
    food/vegetables/potato; mushroom: food/vegetables/mushroom; pie: seasonal/christmas/Mince_Pie;
    teapot: household/dishes/teapot; piece of broccoli: food/vegetables/broccoli; head of lettuce:
    food/vegetables/lettuce food/vegetables/redlettuce; apricot: food/fruit/apricot
    food/fruit/Apricot_whole; tangerine: food/fruit/mandarine; orange: food/fruit/orange;
    pomegranate: food/fruit/pomegranate; raspberry: food/fruit/raspberry; slice of lime:
    food/fruit/sliced_lime; slice of orange: food/fruit/sliced_orange; almond: food/nuts/almond;
    pecan: food/nuts/pecan; walnut: food/nuts/walnut; piece of ginger: food/spices/ginger; bell
    pepper: food/vegetables/pepper food/vegetables/yellowpepper; pumpkin:
    food/vegetables/pumpkin_small; roast chicken: seasonal/christmas/Roast_turkey; Christmas
    pudding: seasonal/christmas/Christmas_pudding; candy cane:
    seasonal/christmas/Candy_cane_photo_1
    """,
    "vehicle": """
    car: vehicles/auto/sedan vehicles/auto/beetle; bus: vehicles/masstransit/green_korean_bus;
    fire engine: vehicles/emergency/firetruck; pickup truck: vehicles/auto/truck; racing car:
    vehicles/race/indycar; airplane: vehicles/flight/planes/747; sailboat:
    vehicles/ship/walnutBoat vehicles/ship/chineseJunk; parachute: military/paratrooper; sports
    car: vehicles/auto/sportscar2; dump truck: vehicles/construction/cartoon/terex; tricycle:
    vehicles/cycle/pink_tricycle; garbage truck: vehicles/garbagetruck; double-decker bus:
    vehicles/masstransit/cartoon/double_decker_bus; hot-air balloon: vehicles/flight/balloon360;
    fighter jet: military/vehicles/f22_raptor; tank: military/vehicles/ww2_german_gun
    military/vehicles/bradley; submarine: vehicles/ship/cartoon/bathyscape; tugboat:
    vehicles/ship/cartoon/tugboat
    """,
    "household": """
    camera: hobbies/camera_35mm; light bulb: household/Lightbulb; candle: seasonal/candle; toilet:
    household/toilet; teddy bear: animals/mammals/bears/toys/edward_bear; mailbox:
    town/usps_mailbox; pair of binoculars: hobbies/binoculars; mug: household/dishes/mug; pitcher:
    household/dishes/pitcher_small; pepper mill: household/dishes/utensils/pepper_grinder; trash
    can: household/garbagecan; wheelie bin: household/wheelie_bin; kettle: household/kettle;
    rubber duck: household/rubberduck; nutcracker doll: seasonal/christmas/German_Christmas_toy;
    Christmas wreath: seasonal/christmas/xmaswreath; clothespin: clothes/clothespin_new
    clothes/clothespin_old; cooking pot: household/dishes/cartoon/pasta_pot
    """,
    "tool": """
    hammer: household/tools/hammer; saw: household/tools/saw; toolbox: household/tools/toolbox;
    pair of scissors: household/arttools/scissors_small_open; paintbrush:
    household/tools/paintbrush_large; key: household/key; stethoscope: medical/stethoscope;
    syringe: medical/syringe; cement mixer: household/tools/cementmixer; mallet:
    household/tools/mallet_metal; tape measure: household/tools/measuring_tape; pair of pliers:
    household/tools/plyers; spade: household/tools/spade; wrench: household/tools/wrench
    household/tools/wrench_adjustable household/tools/wrench_plumbers; marker:
    household/arttools/pen_dryerase household/arttools/highlighter
    """,
    "clothing": """
    top hat: clothes/hats/tophat; sombrero: clothes/hats/sombrero; fedora:
    clothes/hats/blue_fedora; knight's helmet: clothes/armor/cartoon/knight_helmet; Christmas
    stocking: seasonal/christmas/stocking; Santa hat: seasonal/christmas/santahat
    """,
    "sport": """
    soccer ball: sports/soccer; basketball: sports/basketball; tennis racket:
    sports/tennis_racket; volleyball: sports/cartoon/volleyball; American football:
    sports/football; trophy: sports/trophy_cup; wheel: vehicles/wheel_tractor vehicles/7spoke256;
    tennis ball: sports/tennis_ball; cricket ball: sports/cricketball
    """,
    "instrument": """
    guitar: hobbies/music/string/guitar_classical hobbies/music/string/guitar2; violin:
    hobbies/music/string/violin; trumpet: hobbies/music/brass/trumpet; drum:
    hobbies/music/percussion/drum_tomtom_floor; cymbal: hobbies/music/percussion/cymbal_crash;
    drum kit: hobbies/music/percussion/drumkit; cello: hobbies/music/string/cello; electric
    guitar: hobbies/music/string/guitar_electric; bassoon: hobbies/music/wind/bassoon
    """,
    "plant": """
    leafy tree: plants/trees/holm_oak plants/trees/tree336; palm tree: plants/trees/liberia-palm;
    rose: plants/flowers/rose; hibiscus: plants/flowers/flower10; Christmas tree:
    seasonal/christmas/Christmas_Tree_photo; daffodil: plants/flowers/daffodil; anemone:
    plants/flowers/anemone_red; iris: plants/flowers/iris; marigold: plants/flowers/marigold;
    petunia: plants/flowers/whitestar-petunia; anthurium: plants/flowers/anthoorium; bare tree:
    plants/trees/birch; pine cone: plants/trees/pinecone; porcini mushroom: plants/mushrooms/cep
    plants/mushrooms/cep-1 plants/mushrooms/cep-2
    """,
    "building": """
    castle: town/houses/cartoon/fortress; windmill: town/houses/cartoon/windmill; igloo:
    town/houses/cartoon/igloo; tepee: town/houses/cartoon/tepee; pyramid:
    town/monuments/cartoon/pyramid; totem pole: town/monuments/cartoon/totem; log cabin:
    town/houses/cartoon/wooden_cottage; well: town/cartoon/wishing_well
    """,
    "person": """
    astronaut: space/spacewalk; firefighter: military/fireman240a
    """,
    "sky": """
    globe: space/planets/3_earth; full moon: space/moon/moon_full; ringed planet:
    space/planets/6_saturn
    """,
}
"""Category -> `name: file file ...; ...`; a file is named below the folder of the stamps."""
