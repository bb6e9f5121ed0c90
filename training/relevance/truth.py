"""What is asked of pictures, and which are right, wrong or beyond telling.

People's captions leave things out, and words overlap: where a caption says "several boats", the harbour they lie in may
go unnamed. Pictures that may or may not be right are left out of every index that the question is put to.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from geoanchor.words import stems


@dataclass(frozen=True, slots=True)
class Thing:
    """Something asked of pictures that people have captioned.

    Attributes:
        text: what is asked. scene: the kind of scene that always shows it, "" for none.
        names: captions with all words of one of these show it.
        doubtful: others with one of these words, or of a kind of scene among them, may show it.
    """

    text: str
    scene: str
    names: tuple[frozenset[str], ...]
    doubtful: frozenset[str]


_TABLE = """
airplanes       |                | plane, airplane, aircraft           | airport runway terminal
airport         | airport        | airport, airplane, terminal, termial | plane runway aircraft
baseball field  | baseballfield  | baseball, baseballfield             | playground sport stadium school
basketball court |               | basketball                          | court playground school sport stadium
beach           | beach          | beach                               | sand sea ocean wave coast shore island
boats           |                | boat, ship, yacht                   | port harbor harbour wharf pier dock docked
bridge          | bridge         | bridge                              | viaduct overpass cross span river
church          | church         | church, cathedral                   | tower dome
commercial area | commercial     | commercial, business                | tall center city urban prosperou bustling skyscraper square
dense houses    | denseresidential | dense residential, crowded house, dense house | house residential crowded villa neighborhood
desert          | desert         | desert                              | sand bareland bare barren khaki
farmland        | farmland       | farmland, farm, crop, wheat         | field meadow planted bareland pasture
football field  |                | football, soccer                    | playground stadium school sport field court track
forest          | forest         | forest, rainforest                  | wood mountain lush
harbour         | port           | harbor, harbour, port, wharf        | boat ship pier dock docked yacht
highway         |                | highway, freeway, expressway        | viaduct overpass road lane
industrial area | industrial     | industrial, factory, workshop       | tank plant storage warehouse
lake            |                | lake                                | pond river water pool reservoir sea
meadow          | meadow         | meadow, grassland, pasture          | grass lawn field farmland
mountains       | mountain       | mountain, hill                      | ridge rock snow rugged
parking lot     | parking        | parking, parked                     | car vehicle automobile
park            | park           | park                                | garden lawn lake
playground      | playground     | playground                          | football track running school sport basketball
pond            | pond           | pond                                | lake pool water river reservoir
railway         | railwaystation | railway, train, rail                | station track line
railway station | railwaystation | railway station, train station      | railway station train rail
residential area | mediumresidential | residential, neighborhood        | house villa building
resort          | resort         | resort                              | villa swimming hotel pool
river           | river          | river                               | stream water canal bank bridge lake
running track   |                | running track, track field          | playground stadium football running track school sport
school          | school         | school, teaching, campu             | playground football
ships           |                | ship, boat                          | port harbor harbour wharf pier dock docked yacht
snow            |                | snow                                | white mountain
square          | square         | plaza                               | square center
stadium         | stadium        | stadium, gym                        | bleacher oval nest
storage tanks   | storagetanks   | storage, storagetank, tank          | columnar cylindrical industrial
swimming pool   |                | swimming, pool                      | villa resort spring pond hotel
tall buildings  |                | tall building, skyscraper, high building | commercial center city urban business
tennis courts   |                | tenni                               | court playground school sport basketball
the ocean       |                | ocean, sea                          | beach wave coast shore port harbor water boat
trains          |                | train                               | railway station rail
viaduct         | viaduct        | viaduct, overpass                   | bridge highway cross road
waves           |                | wave, spray                         | beach sea ocean ripple coast shore water
bare land       | bareland       | bareland, bare, barren, wasteland   | desert sand desolate empty
"""  # noqa: E501


def _things() -> Mapping[str, Thing]:
    found = {}
    for line in _TABLE.strip().splitlines():
        text, scene, names, doubtful = (cell.strip() for cell in line.split("|"))
        told = tuple(frozenset(name.split()) for name in names.split(", "))
        found[text] = Thing(text, scene, told, frozenset(doubtful.split()))
    return found


THINGS = _things()
"""By what is asked; the words of the table are stems."""

MAYBE_CALLED: tuple[frozenset[str], ...] = tuple(
    frozenset(group.split())
    for group in (
        "house detached semi terrace small_building building", "lake pond reservoir", "river canal stream ditch",
        "pitch football recreation baseball athletics", "retail shop", "commercial office", "farm farmyard",
        "industrial factory warehouse", "apartments tower_block office", "railway rail_yard", "park grass recreation",
    )
)  # fmt: skip
"""Concepts of which one picture may be called either, whatever its map says: seen from above they overlap."""


def caption_shows(thing: Thing, told: frozenset[str], scene: str) -> bool | None:
    """Whether a picture shows a thing, by the stems of all its captions and its kind of scene; None: who knows."""
    if scene == thing.scene or any(name <= told for name in thing.names):
        return True
    return None if thing.doubtful & (told | {scene}) else False


def concept_shows(asked: frozenset[str], shown: frozenset[str]) -> bool | None:
    """The same for concepts that are drawn: asked, and shown by the picture."""
    if asked & shown:
        return True
    near = frozenset().union(*(group for group in MAYBE_CALLED if group & asked))
    return None if near & shown else False


def tells(thing: Thing, sentence: str) -> bool:
    """Whether a sentence names the thing."""
    return any(name <= stems(sentence) for name in thing.names)
