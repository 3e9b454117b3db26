"""Sprite table 1: Microsoft Fluent 3-D emoji, a code point and an everyday name each."""

DRAWN = {
    "animal": """
    1f98a fox; 1f408 cat; 1f415 dog; 1f429 poodle; 1f405 tiger; 1f406 leopard; 1f981 lion; 1f418
    elephant; 1f98f rhinoceros; 1f99b hippopotamus; 1f992 giraffe; 1f993 zebra; 1f98c deer; 1f404
    cow; 1f416 pig; 1f411 sheep; 1f410 goat; 1f42a camel; 1f999 llama; 1f998 kangaroo; 1f428
    koala; 1f43c panda; 1f43b bear; 1f43a wolf; 1f407 rabbit; 1f43f-fe0f chipmunk; 1f994 hedgehog;
    1f987 bat; 1f9a6 otter; 1f9a8 skunk; 1f9a1 badger; 1f9ab beaver; 1f98d gorilla; 1f9a7
    orangutan; 1f40e horse; 1f984 unicorn; 1f9ac bison; 1f9ad seal; 1f42c dolphin; 1f433 whale;
    1f988 shark; 1f419 octopus; 1f991 squid; 1f99e lobster; 1f980 crab; 1f990 shrimp; 1f421
    pufferfish; 1f422 turtle; 1f40a crocodile; 1f40d snake; 1f438 frog; 1f409 dragon; 1f995
    dinosaur; 1f401 mouse; 1f439 hamster; 1f99d raccoon; 1f413 rooster; 1f983 turkey; 1f986 duck;
    1f9a2 swan; 1f9a9 flamingo; 1f99a peacock; 1f99c parrot; 1f985 eagle; 1f989 owl; 1f427
    penguin; 1f54a-fe0f dove; 1f41d bee; 1f98b butterfly; 1f41e ladybug; 1f41b caterpillar; 1f40c
    snail; 1f577-fe0f spider; 1f982 scorpion; 1f99f mosquito; 1fab1 worm; 1facf donkey; 1face
    moose; 1fabf goose; 1fabc jellyfish
    """,
    "food": """
    1f34e apple; 1f350 pear; 1f34b lemon; 1f34c banana; 1f349 watermelon; 1f347 bunch of grapes;
    1f353 strawberry; 1f352 pair of cherries; 1f351 peach; 1f96d mango; 1f34d pineapple; 1f965
    coconut; 1f95d kiwi; 1f345 tomato; 1f346 eggplant; 1f951 avocado; 1f952 cucumber; 1f336-fe0f
    chili pepper; 1f33d corn cob; 1f955 carrot; 1f9c4 garlic bulb; 1f9c5 onion; 1f954 potato;
    1f344 mushroom; 1f95c peanut; 1f35e loaf of bread; 1f950 croissant; 1f956 baguette; 1f968
    pretzel; 1f96f bagel; 1f95e stack of pancakes; 1f9c7 waffle; 1f9c0 piece of cheese; 1f356
    piece of meat; 1f969 steak; 1f357 chicken leg; 1f354 hamburger; 1f35f box of French fries;
    1f355 slice of pizza; 1f32d hot dog; 1f96a sandwich; 1f32e taco; 1f32f burrito; 1f95a egg;
    1f372 pot of stew; 1f957 bowl of salad; 1f37f box of popcorn; 1f35d plate of spaghetti; 1f366
    ice cream cone; 1f369 doughnut; 1f36a cookie; 1f382 birthday cake; 1f370 slice of cake; 1f9c1
    cupcake; 1f967 pie; 1f36b chocolate bar; 1f36c piece of candy; 1f36d lollipop; 1f36f honey
    pot; 1f95b glass of milk; 2615 cup of coffee; 1fad6 teapot; 1f377 glass of wine; 1f378
    cocktail glass; 1f37a mug of beer; 1f9cb cup of bubble tea; 1f9ca ice cube; 1f966 piece of
    broccoli; 1f96c head of lettuce
    """,
    "vehicle": """
    1f697 car; 1f695 taxi; 1f68c bus; 1f691 ambulance; 1f692 fire engine; 1f690 van; 1f6fb pickup
    truck; 1f69a truck; 1f69c tractor; 1f3ce-fe0f racing car; 1f3cd-fe0f motorcycle; 1f6b2
    bicycle; 1f6f9 skateboard; 1f6fc roller skate; 1f682 steam train; 1f68b tram; 1f69d bullet
    train; 1f681 helicopter; 2708-fe0f airplane; 1f680 rocket; 1f6f8 flying saucer; 1f6f0-fe0f
    satellite; 26f5 sailboat; 1f6a4 speedboat; 1f6a2 ship; 1f6f6 canoe; 1f6fa rickshaw; 1f6d2
    shopping cart; 1f9bd wheelchair; 1f6a0 cable car; 1fa82 parachute
    """,
    "household": """
    1f4bb laptop; 1f5a5-fe0f desktop computer; 2328-fe0f keyboard; 1f5a8-fe0f printer; 260e-fe0f
    telephone; 1f4fa television; 1f4fb radio; 1f4f7 camera; 1f3a5 film camera; 1f4bf CD; 1f4be
    floppy disk; 1f4a1 light bulb; 1f56f-fe0f candle; 231b hourglass; 23f0 alarm clock; 231a
    wristwatch; 1f6cb-fe0f couch; 1fa91 chair; 1f6cf-fe0f bed; 1f6c1 bathtub; 1f6bf shower; 1f6bd
    toilet; 1fa9e mirror; 1f5d1-fe0f wastebasket; 1f9f8 teddy bear; 1f9f6 ball of yarn; 1f9f5
    spool of thread; 1f9fa basket; 1f4e6 cardboard box; 1f381 present; 1f388 balloon; 2709-fe0f
    envelope; 1f4f0 newspaper; 1f4da stack of books; 1f4c5 calendar; 1f4cb clipboard; 1f5c4-fe0f
    filing cabinet; 1f4bc briefcase; 1f9f3 suitcase; 2602-fe0f umbrella; 1f514 bell; 1f4e3
    megaphone; 1f4e1 satellite dish; 1f37c baby bottle; 1f3fa vase; 1f6d1 stop sign; 1f6a6 traffic
    light; 26fd gas pump; 1f4ee mailbox; 1f48e gem; 1f4b0 money bag; 1f9f4 bottle of lotion; 1f488
    barber's pole; 1f6e1-fe0f shield; 1f3ee paper lantern; 1faad hand fan; 1f579-fe0f joystick;
    1f3ae game controller; 1fa86 nesting doll; 1f383 jack-o'-lantern; 26c4 snowman
    """,
    "tool": """
    1f528 hammer; 1fa9b screwdriver; 1fa9a saw; 1fa93 axe; 26cf-fe0f pickaxe; 2699-fe0f gear;
    1fa9c ladder; 1f9f0 toolbox; 1f9f2 magnet; 2702-fe0f pair of scissors; 270f-fe0f pencil;
    1f58b-fe0f fountain pen; 1f58c-fe0f paintbrush; 1f58d-fe0f crayon; 1f4cf ruler; 1f4cc pushpin;
    1f511 key; 1f512 padlock; 1f5e1-fe0f dagger; 1f52a kitchen knife; 1f944 spoon; 1f962 pair of
    chopsticks; 1faa5 toothbrush; 1f9f9 broom; 1faa3 bucket; 1f9fd sponge; 1f9fc bar of soap;
    1faa0 plunger; 1f9ef fire extinguisher; 1f52c microscope; 1f52d telescope; 1f50d magnifying
    glass; 1f321-fe0f thermometer; 1fa7a stethoscope; 1f489 syringe; 1f9ed compass; 2693 anchor;
    1f526 flashlight; 1f3f9 bow and arrow
    """,
    "clothing": """
    1f576-fe0f pair of sunglasses; 1f455 T-shirt; 1f456 pair of jeans; 1f9e3 scarf; 1f9e4 pair of
    gloves; 1f9e5 coat; 1f9e6 pair of socks; 1f457 dress; 1f458 kimono; 1fa73 pair of shorts;
    1f45b purse; 1f45c handbag; 1f392 backpack; 1f45f running shoe; 1f462 boot; 1f451 crown; 1f452
    sun hat; 1f3a9 top hat; 1f393 graduation cap; 1f9e2 baseball cap; 1fa96 army helmet; 1f9ba
    safety vest
    """,
    "sport": """
    26bd soccer ball; 1f3c0 basketball; 26be baseball; 1f3be tennis racket; 1f3d0 volleyball;
    1f3c8 American football; 1f3b3 set of bowling pins; 1f3d3 ping-pong paddle; 1f3f8 badminton
    racket; 1f94a boxing glove; 1f3bf ski boot; 26f8-fe0f ice skate; 1f3a3 fishing rod; 1f3c6
    trophy; 1f947 gold medal; 1fa80 yo-yo; 1fa81 kite; 1f3b1 billiard ball; 265f-fe0f chess pawn;
    1f93f diving mask; 1f6de wheel; 1f6df life buoy
    """,
    "instrument": """
    1f3b8 guitar; 1f3bb violin; 1f3ba trumpet; 1f3b7 saxophone; 1f941 drum; 1fa97 accordion; 1fa95
    banjo; 1f3b9 piano keyboard; 1f3a4 microphone; 1f3a7 pair of headphones; 1fa87 pair of
    maracas; 1fa88 flute; 1fa98 bongo drum
    """,
    "plant": """
    1f332 fir tree; 1f333 leafy tree; 1f334 palm tree; 1f335 cactus; 1f337 tulip; 1f339 rose;
    1f33b sunflower; 1f33a hibiscus; 1f338 cherry blossom; 1f33c daisy; 1f490 bunch of flowers;
    1f331 seedling; 1fab4 potted plant; 1f340 four-leaf clover; 1f341 maple leaf; 1f384 Christmas
    tree; 1fab7 lotus flower; 1fab5 log; 1fabb hyacinth; 1fab8 coral
    """,
    "building": """
    1f3e0 house; 1f3e5 hospital; 1f3eb school; 1f3ed factory; 1f3f0 castle; 26ea church; 1f3ef
    Japanese castle; 26f2 fountain; 26fa tent; 1f3aa circus tent; 1f3a1 Ferris wheel; 1f6d6 hut;
    26e9-fe0f shrine gate; 1f30b volcano; 1f3db-fe0f Greek temple
    """,
    "person": """
    1f468 man; 1f469 woman; 1f476 baby; 1f46e police officer; 1f477 construction worker;
    1f575-fe0f detective; 1f934 prince; 1f478 princess; 1f9d9 wizard; 1f9da fairy; 1f9db vampire;
    1f9dc mermaid; 1f977 ninja; 1f385 Santa Claus; 1f483 dancer; 1f3c3 runner; 1f3c4 surfer; 1f6b4
    cyclist; 1f3c2 snowboarder; 26f7-fe0f skier; 1f938 acrobat; 1f939 juggler; 1f9d8 person
    meditating; 1f9d1-200d-1f680 astronaut; 1f9d1-200d-1f692 firefighter; 1f9d1-200d-1f33e farmer;
    1f9d1-200d-1f373 chef; 1f9d1-200d-2695-fe0f doctor; 1f9d1-200d-2708-fe0f pilot; 1f916 robot;
    1f47b ghost; 1f47d alien; 1f921 clown; 1f480 skull
    """,
    "gesture": """
    1f44d thumbs-up sign; 1f44b waving hand; 1f44c OK sign; 270a raised fist; 270c-fe0f victory
    sign; 1f446 finger pointing up; 1f4aa flexed arm; 1f440 pair of eyes; 1f9b6 foot; 1f9b7 tooth;
    1f9b4 bone
    """,
    "sky": """
    1f30d globe; 2600-fe0f sun; 1f319 crescent moon; 1f315 full moon; 2601-fe0f cloud; 1f32a-fe0f
    tornado; 26a1 lightning bolt; 2744-fe0f snowflake; 1f525 fire; 1f308 rainbow; 1fa90 ringed
    planet; 2604-fe0f comet
    """,
}
"""Category -> `code name; code name; ...`; a code names a file of the package."""
