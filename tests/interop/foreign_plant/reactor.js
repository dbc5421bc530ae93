// The polymerisation reactor of arXiv 2507.22640, nominal, with the DCS's own two PI loops.
//
// State x = [A monomer kg/m3, I initiator kg/m3, R radicals mol/m3, P polymer kg/m3, T K];
// input u = [F_I initiator feed kg/h, T_c coolant K].  Constants as in plant_sim/reactor.py.
"use strict";

const GAS = 8.314, MONOMER_KG_H = 100, SOLVENT_KG_H = 80, DENSITY = 1000, HEAT_CAPACITY = 2000;
const FEED_K = 350, MW_MONOMER = 0.1, MW_INITIATOR = 0.165, REACTION_HEAT = 1e5, UA = 500;
const PER_HOUR = 1 / 3600;

const LOW = [0, 300], HIGH = [2.5, 350];
const STEP_S = 10; // classical Runge-Kutta is stable here up to about 60 s

function derivative([A, I, R, P, T], [feed, coolant]) {
  const kd = 1e9 * Math.exp(-125e3 / (GAS * T));
  const kp = 4e4 * Math.exp(-25e3 / (GAS * T));
  const kt = 1e6 * Math.exp(-15e3 / (GAS * T));
  const dilution = ((feed + MONOMER_KG_H + SOLVENT_KG_H) / DENSITY) * PER_HOUR;
  const rate = kp * R * A;
  return [
    MONOMER_KG_H * PER_HOUR - dilution * A - rate,
    feed * PER_HOUR - dilution * I - kd * I,
    (2 * kd * I) / MW_INITIATOR - 2 * kt * R * R,
    rate - dilution * P,
    ((REACTION_HEAT * rate) / MW_MONOMER - UA * (T - coolant)) / (DENSITY * HEAT_CAPACITY)
      + dilution * (FEED_K - T),
  ];
}

function step(x, u) {
  const along = (k, h) => x.map((value, i) => value + h * k[i]);
  const k1 = derivative(x, u);
  const k2 = derivative(along(k1, STEP_S / 2), u);
  const k3 = derivative(along(k2, STEP_S / 2), u);
  const k4 = derivative(along(k3, STEP_S), u);
  return x.map((value, i) => value + (STEP_S / 6) * (k1[i] + 2 * k2[i] + 2 * k3[i] + k4[i]));
}

// One PI loop; while another has the output, the integral follows it, so that taking over is bumpless.
class Loop {
  constructor(kp, ki, index) {
    Object.assign(this, { kp, ki, index, integral: 0 });
  }

  track(error, output) {
    this.integral = output - this.kp * error;
  }

  output(error) {
    const wanted = this.kp * error + this.integral;
    const limited = Math.min(Math.max(wanted, LOW[this.index]), HIGH[this.index]);
    if (wanted === limited || (wanted > limited) !== (error > 0)) {
      this.integral += this.ki * error * STEP_S;
    }
    return limited;
  }
}

class Reactor {
  constructor(setpoints) {
    this.x = [440, 5, 0, setpoints[0], setpoints[1]];
    this.u = [1.5, 340];
    this.setpoints = setpoints;
    this.loops = [new Loop(0.0817, 2.91e-6, 0), new Loop(1.442, 5.58e-4, 1)];
    this.loops.forEach((loop, i) => loop.track(this.error(i), this.u[i]));
  }

  error(i) {
    return this.setpoints[i] - this.x[3 + i]; // loop 0: P, loop 1: T
  }

  // One step of STEP_S.  outside[i]: the output [model's unit] that someone else gives loop i, or null.
  advance(outside) {
    this.loops.forEach((loop, i) => {
      if (outside[i] === null) {
        this.u[i] = loop.output(this.error(i));
      } else {
        this.u[i] = Math.min(Math.max(outside[i], LOW[i]), HIGH[i]);
        loop.track(this.error(i), this.u[i]);
      }
    });
    this.x = step(this.x, this.u);
  }
}

module.exports = { Reactor, STEP_S };
