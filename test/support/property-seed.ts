// Where the properties' searches begin. In the suite always at the same place: what a change is judged by must not be luck.
// Whoever searches for longer (FUZZ_MS, ENGINE_MODEL_MS, LANES_MODEL_MS) begins elsewhere each time; PROPERTY_SEED=1 repeats a run.

const searchesForLonger = ["FUZZ_MS", "ENGINE_MODEL_MS", "LANES_MODEL_MS"].some((name) => process.env[name] !== undefined);

export const propertySeed = Number(process.env.PROPERTY_SEED ?? (searchesForLonger ? Math.floor(Math.random() * 2 ** 31) : 20_261_122));
