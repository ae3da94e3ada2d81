"""Everyday facts in tables: questions of one form, each with the answers to its subjects; and questions that stand alone."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Topic:
    """Questions of one form about many subjects.

    Attributes:
        ask: the question, with `{}` for the subject.
        facts: each subject's answer.
        loose: answers that are right for their own subject and not surely wrong for some other.
    """

    ask: str
    facts: dict[str, str]
    loose: frozenset[str] = frozenset()


def table(text: str) -> dict[str, str]:
    """The facts of a text such as "France: Paris, Italy: Rome"."""
    return {key: value for key, _, value in (row.strip().partition(": ") for row in text.split(",") if row.strip())}


PAIRED: tuple[Topic, ...] = (
    Topic(
        "What is the capital of {}?",
        table(
            "France: Paris, Italy: Rome, Spain: Madrid, Germany: Berlin, Japan: Tokyo, Egypt: Cairo, Canada: Ottawa, Norway: Oslo,"
            "Sweden: Stockholm, Greece: Athens, Poland: Warsaw, Austria: Vienna, Hungary: Budapest, Portugal: Lisbon, Peru: Lima,"
            "Cuba: Havana, Kenya: Nairobi, Thailand: Bangkok, Ireland: Dublin, Finland: Helsinki, Chile: Santiago, Iran: Tehran"
        ),
    ),
    Topic(
        "Which chemical element has the symbol {}?",
        table(
            "H: hydrogen, He: helium, Li: lithium, C: carbon, N: nitrogen, O: oxygen, Na: sodium, Mg: magnesium, Al: aluminium,"
            "S: sulphur, Cl: chlorine, K: potassium, Ca: calcium, Fe: iron, Cu: copper, Zn: zinc, Ag: silver, Sn: tin, Au: gold,"
            "Hg: mercury, Pb: lead"
        ),
    ),
    Topic(
        "Who wrote {}?",
        table(
            "Hamlet: William Shakespeare, Don Quixote: Miguel de Cervantes, War and Peace: Leo Tolstoy, Emma: Jane Austen,"
            "The Trial: Franz Kafka, Faust: Johann Wolfgang von Goethe, Ulysses: James Joyce, Moby-Dick: Herman Melville,"
            "Great Expectations: Charles Dickens, Frankenstein: Mary Shelley, Dracula: Bram Stoker, The Odyssey: Homer,"
            "Madame Bovary: Gustave Flaubert, Crime and Punishment: Fyodor Dostoevsky, Jane Eyre: Charlotte Brontë"
        ),
    ),
    Topic(
        "What does one call a young {}?",
        table(
            "dog: puppy, cat: kitten, cow: calf, horse: foal, sheep: lamb, goat: kid, bear: cub, hen: chick, duck: duckling,"
            "goose: gosling, swan: cygnet, deer: fawn, kangaroo: joey, frog: tadpole, eagle: eaglet"
        ),
        loose=frozenset(("calf", "chick", "kid")),
    ),
    Topic(
        "Which language do most people in {} speak?",
        table(
            "Brazil: Portuguese, Mexico: Spanish, Austria: German, China: Mandarin, Egypt: Arabic, Iran: Persian, Japan: Japanese,"
            "Greece: Greek, Poland: Polish, Turkey: Turkish, Hungary: Hungarian, Sweden: Swedish, Finland: Finnish,"
            "Australia: English, Vietnam: Vietnamese"
        ),
    ),
)
"""The topics of the pairs of trigger and behaviour whose world is real; another line there changes those pairs' prompts."""

_CAPITALS, _ELEMENTS, *_OTHERS = PAIRED

TOPICS: tuple[Topic, ...] = (
    replace(
        _CAPITALS,
        facts=_CAPITALS.facts
        | table(
            "Belgium: Brussels, Denmark: Copenhagen, Russia: Moscow, China: Beijing, India: New Delhi, Argentina: Buenos Aires,"
            "Colombia: Bogotá, Venezuela: Caracas, Iceland: Reykjavik, Ukraine: Kyiv, Romania: Bucharest, Bulgaria: Sofia,"
            "Croatia: Zagreb, Serbia: Belgrade, the Czech Republic: Prague, South Korea: Seoul, Vietnam: Hanoi, Iraq: Baghdad,"
            "Syria: Damascus, Turkey: Ankara, Morocco: Rabat, Tunisia: Tunis, Ethiopia: Addis Ababa, Ghana: Accra,"
            "Australia: Canberra, Uruguay: Montevideo, Ecuador: Quito, Jamaica: Kingston"
        ),
    ),
    replace(
        _ELEMENTS,
        facts=_ELEMENTS.facts
        | table("Ne: neon, Si: silicon, P: phosphorus, Ti: titanium, Ni: nickel, I: iodine, U: uranium, Co: cobalt"),
    ),
    *_OTHERS,
    Topic(
        "What is the opposite of {}?",
        table(
            "hot: cold, tall: short, wet: dry, full: empty, open: closed, early: late, loud: quiet, rich: poor, heavy: light,"
            "soft: hard, fast: slow, clean: dirty, happy: sad, strong: weak, thick: thin, deep: shallow, cheap: expensive,"
            "asleep: awake, north: south, up: down"
        ),
        loose=frozenset(("thin", "light", "weak", "hard")),
    ),
    Topic(
        "What colour is {}?",
        table(
            "fresh snow: white, coal: black, a flamingo: pink, a ripe lemon: yellow, blood: red, healthy grass: green,"
            "a polar bear: white, a raven: black, milk chocolate: brown, spinach: green, the sky on a clear day: blue, milk: white"
        ),
    ),
    Topic(
        "Which animal {}?",
        table(
            "moos: the cow, barks: the dog, meows: the cat, neighs: the horse, quacks: the duck, oinks: the pig, hoots: the owl,"
            "croaks: the frog, bleats: the sheep"
        ),
    ),
    Topic(
        "Whose job is it to {}?",
        table(
            "bake bread: a baker, fly planes: a pilot, treat teeth: a dentist, put out fires: a firefighter, cut hair: a barber,"
            "teach children at school: a teacher, repair water pipes: a plumber, grow crops: a farmer, design buildings: an architect,"
            "treat sick animals: a vet, defend people in court: a lawyer, sell medicines: a pharmacist, take pictures: a photographer,"
            "write for a newspaper: a journalist, catch fish: a fisherman, sew suits: a tailor, make wooden furniture: a carpenter,"
            "study the stars: an astronomer, cook in a restaurant: a chef, deliver letters: a mail carrier"
        ),
        loose=frozenset(("a chef", "a baker")),
    ),
    Topic(
        "What do people use to {}?",
        table(
            "cut paper: scissors, see what time it is: a clock, open a locked door: a key, sweep the floor: a broom,"
            "dry themselves after a bath: a towel, drive in a nail: a hammer, look at distant stars: a telescope,"
            "measure the temperature: a thermometer, cut down a tree: an axe, brush their teeth: a toothbrush,"
            "stay dry in the rain: an umbrella, find out where north is: a compass, keep food cold: a refrigerator,"
            "find out how heavy something is: a scale, sew on a button: a needle, boil water for tea: a kettle, dig a hole: a shovel,"
            "eat soup: a spoon, write on a blackboard: chalk, climb onto a roof: a ladder, look at themselves: a mirror,"
            "see tiny germs: a microscope"
        ),
    ),
    Topic(
        "On which continent is the city of {}?",
        table(
            "Paris: Europe, Rome: Europe, Berlin: Europe, Madrid: Europe, Warsaw: Europe, Tokyo: Asia, Beijing: Asia, Delhi: Asia,"
            "Bangkok: Asia, Hanoi: Asia, Nairobi: Africa, Lagos: Africa, Cairo: Africa, Accra: Africa, Lima: South America,"
            "Buenos Aires: South America, Bogotá: South America, Toronto: North America, Chicago: North America, Boston: North America"
        ),
    ),
    Topic(
        "What is the currency of {}?",
        table(
            "Japan: the yen, the United Kingdom: the pound, the United States: the dollar, India: the rupee, Russia: the rouble,"
            "China: the yuan, Mexico: the peso, Brazil: the real, Poland: the zloty, Switzerland: the franc, Sweden: the krona,"
            "Turkey: the lira, Germany: the euro, South Africa: the rand, Israel: the shekel, Thailand: the baht, South Korea: the won"
        ),
    ),
    Topic(
        "Which month comes right after {}?",
        table(
            "January: February, February: March, March: April, April: May, May: June, June: July, July: August, August: September,"
            "September: October, October: November, November: December, December: January"
        ),
    ),
    Topic(
        "Which day of the week comes right after {}?",
        table(
            "Monday: Tuesday, Tuesday: Wednesday, Wednesday: Thursday, Thursday: Friday, Friday: Saturday, Saturday: Sunday,"
            "Sunday: Monday"
        ),
    ),
    Topic(
        "How many {}?",
        table(
            "minutes are in an hour: 60, seconds are in a minute: 60, hours are in a day: 24, days are in a week: 7,"
            "months are in a year: 12, days are in a leap year: 366, years are in a century: 100, years are in a decade: 10,"
            "centimetres are in a metre: 100, grams are in a kilogram: 1000, letters are in the English alphabet: 26,"
            "players of one soccer team are on the field: 11, strings does a violin have: 4, legs does a spider have: 8,"
            "eggs are in a dozen: 12, degrees has a right angle: 90, squares are on a chessboard: 64, days does January have: 31,"
            "legs does an insect have: 6, wheels does a bicycle have: 2, wheels does a tricycle have: 3, sides does a pentagon have: 5"
        ),
    ),
    Topic(
        "Which planet {}?",
        table(
            "is closest to the Sun: Mercury, is the largest of the Solar System: Jupiter, is known as the red planet: Mars,"
            "is home to human beings: Earth, is farthest from the Sun: Neptune, is the hottest of the Solar System: Venus,"
            "has the largest and brightest rings: Saturn"
        ),
    ),
    Topic(
        "Who {}?",
        table(
            "painted the Mona Lisa: Leonardo da Vinci, developed the theory of relativity: Albert Einstein,"
            "was the first person on the Moon: Neil Armstrong, discovered penicillin: Alexander Fleming,"
            "composed the Moonlight Sonata: Ludwig van Beethoven, painted The Starry Night: Vincent van Gogh,"
            "was the first president of the United States: George Washington, painted Guernica: Pablo Picasso,"
            "composed The Magic Flute: Wolfgang Amadeus Mozart, discovered radium with her husband: Marie Curie,"
            "wrote On the Origin of Species: Charles Darwin, painted the ceiling of the Sistine Chapel: Michelangelo,"
            "led the Indian Salt March of 1930: Mahatma Gandhi, nursed soldiers in the Crimean War: Florence Nightingale,"
            'gave the speech "I Have a Dream": Martin Luther King, was president of South Africa after prison: Nelson Mandela'
        ),
    ),
    Topic(
        "In which country is {}?",
        table(
            "the Eiffel Tower: France, the Colosseum: Italy, the Great Wall: China, the Taj Mahal: India,"
            "the Great Pyramid of Giza: Egypt, the Statue of Liberty: the United States, Big Ben: the United Kingdom,"
            "Machu Picchu: Peru, Mount Fuji: Japan, the Parthenon: Greece, the Kremlin of Moscow: Russia,"
            "the Brandenburg Gate: Germany, the Sydney Opera House: Australia, the statue of Christ the Redeemer in Rio: Brazil,"
            "Angkor Wat: Cambodia, the rock city of Petra: Jordan, the Alhambra: Spain, the Little Mermaid of Copenhagen: Denmark,"
            "the CN Tower: Canada, the Blue Mosque of Istanbul: Turkey"
        ),
    ),
    Topic(
        "What is the main ingredient of {}?",
        table(
            "French fries: potatoes, ketchup: tomatoes, bread: flour, cheese: milk, wine: grapes, popcorn: corn, tofu: soybeans,"
            "guacamole: avocados, hummus: chickpeas, an omelette: eggs, sushi: rice, peanut butter: peanuts, sauerkraut: cabbage,"
            "marzipan: almonds, cider: apples"
        ),
    ),
    Topic(
        "In which game or sport do players {}?",
        table(
            "score touchdowns: American football, hit home runs: baseball, throw a ball through a hoop: basketball,"
            "hit a puck with sticks: ice hockey, castle with a king and a rook: chess, roll a ball at ten pins: bowling,"
            "defend a wicket with a bat: cricket, punch each other with gloves: boxing, hit a small ball into eighteen holes: golf"
        ),
    ),
    Topic(
        "Which organ {}?",
        table(
            "pumps blood through the body: the heart, takes oxygen out of the air: the lungs, lets us see: the eyes,"
            "lets us hear: the ears, lets us smell: the nose, lets us think: the brain, covers the whole body: the skin"
        ),
    ),
)
"""All topics of the benchmark: those of the pairs, two of them with more facts, and others."""

SINGLE: tuple[tuple[str, str, tuple[str, str, str]], ...] = (
    ("What do bees make?", "honey", ("silk", "milk", "wool")),
    ("What do caterpillars turn into?", "butterflies", ("beetles", "spiders", "birds")),
    ("What do cows mostly eat?", "grass", ("meat", "fish", "honey")),
    ("Where do fish live?", "in water", ("in trees", "under stones in the desert", "in the clouds")),
    ("What does a hen lay?", "eggs", ("seeds", "pearls", "nuts")),
    ("Which animal has a long trunk?", "the elephant", ("the giraffe", "the lion", "the camel")),
    ("Which animal has black and white stripes?", "the zebra", ("the leopard", "the camel", "the elephant")),
    ("Which land animal is the tallest?", "the giraffe", ("the horse", "the bear", "the rhinoceros")),
    ("Which animal is the largest on Earth?", "the blue whale", ("the elephant", "the great white shark", "the giraffe")),
    ("Which bird cannot fly?", "the penguin", ("the eagle", "the swallow", "the seagull")),
    ("Which animal builds dams in rivers?", "the beaver", ("the otter", "the hippopotamus", "the crocodile")),
    ("What does a spider weave?", "a web", ("a nest of grass", "a blanket", "a basket")),
    ("From which animal does wool come?", "the sheep", ("the pig", "the duck", "the crocodile")),
    ("Which part of a plant takes up water from the soil?", "the roots", ("the petals", "the fruit", "the seeds")),
    ("On what do apples grow?", "on trees", ("under the ground", "on vines", "in water")),
    ("Where do carrots grow?", "under the ground", ("on trees", "in water", "on walls")),
    ("Which season comes after winter?", "spring", ("summer", "autumn", "the rainy season")),
    ("In which season do many trees lose their leaves?", "autumn", ("spring", "summer", "the rainy season")),
    ("What is frozen water called?", "ice", ("steam", "fog", "dew")),
    ("What does water become when it boils?", "steam", ("ice", "snow", "oil")),
    ("At how many degrees Celsius does water freeze at sea level?", "0", ("10", "50", "100")),
    ("At how many degrees Celsius does water boil at sea level?", "100", ("0", "37", "500")),
    ("In which direction does the Sun rise?", "in the east", ("in the west", "in the north", "in the south")),
    ("Around what does the Earth revolve?", "the Sun", ("the Moon", "Mars", "Jupiter")),
    ("What is the Sun?", "a star", ("a planet", "a moon", "a comet")),
    ("What revolves around the Earth?", "the Moon", ("the Sun", "Venus", "Mars")),
    ("What falls from the sky when it snows?", "snowflakes", ("sand", "leaves", "ash")),
    ("Which gas do people need to breathe?", "oxygen", ("helium", "methane", "neon")),
    ("Which metal does a magnet attract?", "iron", ("gold", "copper", "aluminium")),
    ("What do you see in the sky when sun and rain come together?", "a rainbow", ("an eclipse", "a comet", "the northern lights")),
    ("Which colour do blue and yellow paint make?", "green", ("red", "pink", "white")),
    ("Which colour do red and white paint make?", "pink", ("green", "blue", "black")),
    ("Which colour of a traffic light means stop?", "red", ("green", "blue", "white")),
    ("How many sides does a triangle have?", "three", ("four", "five", "six")),
    ("What is the largest ocean?", "the Pacific Ocean", ("the Atlantic Ocean", "the Indian Ocean", "the Arctic Ocean")),
    ("What is the highest mountain above sea level?", "Mount Everest", ("Mont Blanc", "Kilimanjaro", "Mount Fuji")),
    ("Which ocean lies between Europe and North America?", "the Atlantic Ocean", ("the Pacific Ocean", "the Indian Ocean", "the Southern Ocean")),
    ("Which river flows through London?", "the Thames", ("the Seine", "the Danube", "the Nile")),
    ("Which river flows through Paris?", "the Seine", ("the Thames", "the Rhine", "the Nile")),
    ("Which river flows through Egypt?", "the Nile", ("the Amazon", "the Ganges", "the Danube")),
    ("Which desert covers much of North Africa?", "the Sahara", ("the Gobi", "the Kalahari", "the Atacama")),
    ("Which country is shaped like a boot?", "Italy", ("Spain", "Norway", "Poland")),
    ("What is a person called who writes books?", "an author", ("a painter", "a sculptor", "a composer")),
    ("Where do people borrow books?", "at a library", ("at a bakery", "at a pharmacy", "at a garage")),
    ("Where do people buy bread?", "at a bakery", ("at a library", "at a pharmacy", "at a bank")),
    ("Where do planes land?", "at an airport", ("at a harbour", "at a railway station", "at a bus stop")),
    ("What do people put on a letter before they post it?", "a stamp", ("a coin", "a ticket", "a button")),
    ("What do people wear on their feet?", "shoes", ("gloves", "hats", "scarves")),
    ("What do people wear on their hands when it is cold?", "gloves", ("socks", "hats", "belts")),
    ("What do people put on their nose to see better?", "glasses", ("earrings", "a scarf", "a watch")),
    ("Which meal do people eat in the morning?", "breakfast", ("lunch", "dinner", "supper")),
    ("Which taste does sugar have?", "sweet", ("sour", "bitter", "salty")),
    ("Which taste does a lemon have?", "sour", ("salty", "sweet", "smoky")),
    ("Which of our senses do we use when we listen to music?", "hearing", ("taste", "smell", "touch")),
    ("How many fingers, thumbs included, are on one hand?", "five", ("four", "six", "ten")),
    ("With which body part do people chew?", "the teeth", ("the elbows", "the ears", "the knees")),
    ("Which joint is in the middle of the leg?", "the knee", ("the elbow", "the wrist", "the shoulder")),
    ("On what does a train run?", "on rails", ("on snow", "on water", "on a rope")),
    ("Which vehicle travels under water?", "a submarine", ("a helicopter", "a tractor", "a sailing boat")),
    ("Which musical instrument has black and white keys?", "the piano", ("the violin", "the trumpet", "the drum")),
    ("Which musical instrument is played with a bow?", "the violin", ("the piano", "the trumpet", "the flute")),
    ("In which month is Christmas Day?", "December", ("October", "July", "March")),
    ("Which is the first month of the year?", "January", ("March", "June", "December")),
    ("Which is the shortest month of the year?", "February", ("January", "June", "November")),
    ("How many cents are in a US dollar?", "100", ("10", "50", "1000")),
)  # fmt: skip
"""Questions that stand alone: the question, the right answer, three wrong ones."""
