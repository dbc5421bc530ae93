"""The soft plant: the polymerisation CSTR, its DCS, and an OPC UA server in front of them.

Importing this package registers the Gymnasium environment `plant_sim/PolymerCSTR-v0`; the entry
point is a string, so nothing is compiled before an environment is made.
"""

import gymnasium as _gymnasium

_ENVIRONMENT_ID = "plant_sim/PolymerCSTR-v0"

if _ENVIRONMENT_ID not in _gymnasium.registry:
    _gymnasium.register(
        id=_ENVIRONMENT_ID,
        entry_point="plant_sim.env:PolymerCSTREnv",
        vector_entry_point="plant_sim.vector_env:PolymerCSTRVectorEnv",
    )
