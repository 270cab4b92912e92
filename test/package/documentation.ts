/**
 * Prints the names of public declarations without documentation, as an editor shows it on hover. A process of its own, because the compiler
 * blocks its thread for a minute on a busy machine.
 */
import { readdirSync } from "node:fs"
import { join, relative } from "node:path"
import { fileURLToPath } from "node:url"
import ts from "typescript"

const root = fileURLToPath(new URL("../..", import.meta.url))

/** Text that names a variable and refers to another declaration only. The reader needs the effect of the option, and its default. */
const isThin = (text: string) => /^Environment: `\w+`[^.]*\.\s*See\s/.test(text) || /^\{@link [^}]+\}\.?$/.test(text)

const hasText = (parts: ReadonlyArray<ts.SymbolDisplayPart>): boolean => {
  const text = ts.displayPartsToString([...parts]).trim()
  return text !== "" && !isThin(text)
}

/** Returns `Module.declaration.member` for everything public without documentation. */
const findMissing = (): ReadonlyArray<string> => {
  const src = join(root, "src")
  const modules = readdirSync(src).filter((file) => file.endsWith(".ts") && file !== "index.ts")
  const { config } = ts.readConfigFile(join(root, "tsconfig.json"), ts.sys.readFile)
  const { options } = ts.parseJsonConfigFileContent(
    {
      ...config,
      files: modules.map((file) => `src/${file}`),
      include: []
    },
    ts.sys,
    root
  )
  const program = ts.createProgram(modules.map((file) => join(src, file)), { ...options, incremental: false })
  const checker = program.getTypeChecker()
  const missing: Array<string> = []
  // Several modules export one declaration.
  const reported = new Set<ts.Node>()
  const report = (name: string, declaration: ts.Node) => {
    if (!reported.has(declaration)) missing.push(name)
    reported.add(declaration)
  }

  const isOurs = (node: ts.Node) => !relative(src, node.getSourceFile().fileName).startsWith("..")

  /** Checks the call signatures that are declared as such, and the members of object types, down to options of options. */
  const checkType = (name: string, type: ts.Type, seen: ReadonlySet<ts.Type>): void => {
    if (seen.has(type)) return
    const within = new Set(seen).add(type)
    for (const part of type.isUnionOrIntersection() ? type.types : []) checkType(name, part, within)
    if (type.isUnion()) return
    for (const [i, signature] of type.getCallSignatures().entries()) {
      const { declaration } = signature
      if (declaration === undefined || !isOurs(declaration)) continue
      if (ts.isCallSignatureDeclaration(declaration) && !hasText(signature.getDocumentationComment(checker))) {
        report(`${name}(${i})`, declaration)
      }
      for (const parameter of signature.getParameters()) {
        const of = parameter.valueDeclaration
        if (of !== undefined && ts.isParameter(of) && of.type !== undefined && ts.isTypeLiteralNode(of.type)) {
          checkType(`${name}(${parameter.name})`, checker.getTypeAtLocation(of.type), within)
        }
      }
    }
    for (const member of type.getProperties()) {
      const [declaration] = member.getDeclarations() ?? []
      if (declaration === undefined || !isOurs(declaration)) continue
      if (!ts.isPropertySignature(declaration) && !ts.isMethodSignature(declaration)) continue
      if (member.name.startsWith("__") || member.name.startsWith("_tag")) continue
      if (!hasText(member.getDocumentationComment(checker))) report(`${name}.${member.name}`, declaration)
    }
  }

  for (const file of modules) {
    const source = program.getSourceFile(join(src, file))!
    const module = checker.getSymbolAtLocation(source)!
    for (const symbol of checker.getExportsOfModule(module)) {
      const target = symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol
      const declaration = target.getDeclarations()?.[0]
      if (declaration === undefined || !isOurs(declaration)) continue
      const name = `${file.slice(0, -".ts".length)}.${symbol.name}`
      if (!hasText(symbol.getDocumentationComment(checker)) && !hasText(target.getDocumentationComment(checker))) {
        report(name, declaration)
      }
      if (target.flags & (ts.SymbolFlags.Interface | ts.SymbolFlags.TypeAlias)) {
        checkType(name, checker.getDeclaredTypeOfSymbol(target), new Set())
      }
      if (target.flags & ts.SymbolFlags.Variable || target.flags & ts.SymbolFlags.Function) {
        const type = checker.getTypeOfSymbolAtLocation(target, declaration)
        if (type.getCallSignatures().length > 0) checkType(name, type, new Set())
      }
      // The operations of a service.
      if (target.flags & ts.SymbolFlags.Class) {
        const service = checker.getTypeOfSymbolAtLocation(target, declaration).getProperty("Type")
        if (service !== undefined) checkType(name, checker.getTypeOfSymbolAtLocation(service, declaration), new Set())
      }
    }
  }
  return missing.sort()
}

console.log(JSON.stringify(findMissing()))
