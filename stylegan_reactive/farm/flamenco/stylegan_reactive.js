// SPDX-License-Identifier: GPL-3.0-or-later

// Flamenco job type: renders a film of StyleGAN Reactive from a job bundle. A check comes first, then chunks of frames,
// then picture and sound are joined. Put this file into the folder "scripts" beside flamenco-manager.
// Settings, author, path, frameChunker and print: https://flamenco.blender.org/usage/job-types/

const JOB_TYPE = {
    label: "StyleGAN Reactive",
    description: "Render a film from a job bundle of StyleGAN Reactive, and join picture and sound",
    settings: [
        { key: "frames", type: "string", required: true, visible: "submission",
          eval: "f'{C.scene.frame_start}-{C.scene.frame_end}'",
          evalInfo: { showLinkButton: true, description: "Scene frame range" },
          description: "Frames to render, such as 1-900. The film is joined once all frames of the scene are there" },
        { key: "chunk_size", type: "int32", default: 50, propargs: { min: 1 }, visible: "submission",
          description: "Frames that a worker renders without starting Blender again" },
        { key: "join", type: "bool", default: true, visible: "submission", label: "Join Film",
          description: "Make the film of all frames at the end" },
        { key: "engine_python", type: "string", default: "", visible: "submission", label: "Engine's Python",
          description: "The Python with torch on the workers; empty: the one in their preferences of StyleGAN Reactive" },
        { key: "blendfile", type: "string", required: true, visible: "web",
          description: "film.blend in the job bundle" },
    ],
};

function compileJob(job) {
    const settings = job.settings;
    // Flamenco's add-on submits a copy beside it, film.flamenco.blend.
    if (!/^film(\.flamenco)?\.blend$/.test(path.basename(settings.blendfile))) {
        throw "This job type renders job bundles of StyleGAN Reactive. Use Submit to Farm in Blender, " +
            "and submit the film.blend of the bundle that it writes, on the shared storage.";
    }
    if (!(settings.chunk_size >= 1)) {
        throw "Frames per task must be 1 or more";
    }

    const checkTask = bundleTask(settings, "check", "check", []);
    job.addTask(checkTask);

    const renderTasks = [];
    for (const chunk of frameChunker(settings.frames, settings.chunk_size)) {
        // Each worker compares itself with the one that had the check.
        const task = bundleTask(settings, `render-${chunk}`, "render", ["--thorough", `--frames=${chunk}`]);
        task.addDependency(checkTask);
        job.addTask(task);
        renderTasks.push(task);
    }

    if (settings.join !== false) {
        const joinTask = bundleTask(settings, "join", "join", []);
        for (const task of renderTasks) {
            joinTask.addDependency(task);
        }
        job.addTask(joinTask);
    }
    print(`StyleGAN Reactive: ${renderTasks.length} render tasks for frames ${settings.frames}`);
}

// A task that runs one command of the bundle's run.py in Blender, with the bundle's film open.
function bundleTask(settings, name, what, extra) {
    const bundle = path.dirname(settings.blendfile);
    const args = ["--python-exit-code", "1", "--python", path.join(bundle, "run.py"), "--", what, bundle];
    if (settings.engine_python) {
        args.push(`--engine-python=${settings.engine_python}`);
    }
    const task = author.Task(name, "blender");
    task.addCommand(author.Command("blender-render", {
        exe: "{blender}",
        exeArgs: "{blenderArgs}",
        argsBefore: ["--background"],
        blendfile: settings.blendfile,
        args: args.concat(extra),
    }));
    return task;
}
