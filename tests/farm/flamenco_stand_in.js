// SPDX-License-Identifier: GPL-3.0-or-later

// Stands in for Flamenco's manager, as far as it documents what a job type script may use: JOB_TYPE with its settings,
// compileJob(job), author.Task, author.Command, task.addCommand, task.addDependency, job.addTask, path, frameChunker,
// formatTimestampLocal, print and alert. https://flamenco.blender.org/usage/job-types/
//
//     node flamenco_stand_in.js script.js job.json        prints {type, tasks} as JSON, or fails with what it threw

"use strict";
const fs = require("node:fs");
const path = require("node:path");
const vm = require("node:vm");

class Task {
    constructor(name, type) {
        if (!name || !name.trim()) throw new Error("author.Task(name, type): name is required");
        if (!type || !type.trim()) throw new Error("author.Task(name, type): type is required");
        Object.assign(this, { name, type, commands: [], dependencies: [] });
    }
    addCommand(command) {
        if (!(command instanceof Command)) throw new TypeError("addCommand() takes an author.Command");
        this.commands.push(command);
    }
    addDependency(task) {
        if (!(task instanceof Task)) throw new TypeError("addDependency() takes an author.Task");
        this.dependencies.push(task);
    }
}

class Command {
    constructor(name, parameters) {
        Object.assign(this, { name, parameters });
    }
}

class Job {
    constructor(fields) {
        Object.assign(this, fields, { tasks: [] });
    }
    addTask(task) {
        if (!(task instanceof Task)) throw new TypeError("addTask() takes an author.Task");
        this.tasks.push(task);
    }
}

function explode(text) {
    const frames = new Set();
    for (const part of text.replaceAll("..", "-").split(",")) {
        const ends = part.split("-").map((end) => Number.parseInt(end.trim(), 10));
        if (ends.length > 2 || ends.some(Number.isNaN)) throw new Error(`invalid range "${text}": ${part}`);
        for (let frame = ends[0]; frame <= ends[ends.length - 1]; frame++) frames.add(frame);
    }
    return [...frames].sort((a, b) => a - b);
}

// Rows of three and more are written as a range, two as two: "1-10", "1,2", "3-5,9".
function merge(frames) {
    const ranges = [];
    for (let first = 0; first < frames.length;) {
        let last = first;
        while (last + 1 < frames.length && frames[last + 1] === frames[last] + 1) last++;
        if (last - first > 1) ranges.push(`${frames[first]}-${frames[last]}`);
        else ranges.push(...frames.slice(first, last + 1));
        first = last + 1;
    }
    return ranges.join(",");
}

function frameChunker(range, size) {
    if (!(size >= 1)) throw new Error(`invalid chunk size, must be positive number: ${size}`);
    const frames = explode(range);
    const chunks = [];
    for (let i = 0; i < frames.length; i += size) chunks.push(merge(frames.slice(i, i + size)));
    return chunks;
}

function checkSettings(type, settings) {
    const known = new Map(type.settings.map((setting) => [setting.key, setting]));
    for (const key of Object.keys(settings)) if (!known.has(key)) throw new Error(`unknown setting ${key}`);
    for (const setting of type.settings) {
        if (settings[setting.key] === undefined) {
            if (setting.required && setting.default === undefined) throw new Error(`missing setting ${setting.key}`);
            settings[setting.key] = setting.default;
        }
        const kind = { string: "string", bool: "boolean", int32: "number", float: "number" }[setting.type];
        if (kind === undefined) throw new Error(`unknown type of setting ${setting.type}`);
        if (settings[setting.key] !== undefined && typeof settings[setting.key] !== kind) {
            throw new Error(`setting ${setting.key} is no ${setting.type}`);
        }
    }
}

const [script, jobFile] = process.argv.slice(2);
const context = vm.createContext({
    author: { Task: (name, type) => new Task(name, type), Command: (name, parameters) => new Command(name, parameters) },
    path: {
        join: path.posix.join, dirname: path.posix.dirname, basename: path.posix.basename,
        stem: (one) => path.posix.parse(one).name, isAbsolute: path.posix.isAbsolute,
    },
    frameChunker,
    formatTimestampLocal: () => "2026-01-01_000000",
    print: () => {},
    alert: () => {},
});
vm.runInContext(fs.readFileSync(script, "utf8"), context, { filename: script });
const type = vm.runInContext("JOB_TYPE", context);
const job = new Job({ created: new Date(0), ...JSON.parse(fs.readFileSync(jobFile, "utf8")) });
checkSettings(type, job.settings);
try {
    vm.runInContext("compileJob", context)(job);
} catch (thrown) {
    console.error(String(thrown.message ?? thrown));
    process.exit(1);
}
console.log(JSON.stringify({
    label: type.label,
    tasks: job.tasks.map((task) => ({
        name: task.name, type: task.type, commands: task.commands,
        dependencies: task.dependencies.map((other) => other.name),
    })),
}));
