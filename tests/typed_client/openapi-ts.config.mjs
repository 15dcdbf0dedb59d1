// The settings of @hey-api/openapi-ts: its imports need the extension that Node asks for.
export default {
  input: "../../packages/taskapi/openapi.json",
  output: { path: "build/hey_api", module: { extension: ".js" } },
  logs: { file: false },
};
