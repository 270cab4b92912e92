/** Every overload and every option of the Lambda modules has documentation, which an editor shows on hover. */
import { assert, describe, it } from "@effect/vitest"
import { readdirSync, readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import ts from "typescript"

const src = fileURLToPath(new URL("../../src", import.meta.url))
const files = [
  ...readdirSync(src).filter((file) => /^Lambda\w*\.ts$/.test(file)),
  "internal/lambda/LambdaContext.ts",
  "internal/lambda/LambdaExtension.ts",
  "internal/lambda/LambdaExtensionError.ts",
  "internal/lambda/LambdaRuntimeError.ts",
  "internal/lambda/runtimeContext.ts"
]

/** Returns the public members without documentation, as "file:line text". */
const findUndocumented = (file: string): ReadonlyArray<string> => {
  const text = readFileSync(`${src}/${file}`, "utf8")
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true)
  const found: Array<string> = []
  const check = (node: ts.Node) => {
    if (ts.getJSDocCommentsAndTags(node).length > 0) return
    const { line } = source.getLineAndCharacterOfPosition(node.getStart())
    found.push(`${file}:${line + 1} ${node.getText().split("\n", 1)[0]}`)
  }
  const checkMembers = (node: ts.Node): void => {
    if (ts.isTypeElement(node) && (ts.isPropertySignature(node) || ts.isCallSignatureDeclaration(node))) check(node)
    ts.forEachChild(node, checkMembers)
  }
  for (const statement of source.statements) {
    const isExported = ts.canHaveModifiers(statement) &&
      ts.getModifiers(statement)?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword) === true
    if (!isExported) continue
    if (!ts.isExportDeclaration(statement) && !file.startsWith("internal/")) check(statement)
    if (ts.isInterfaceDeclaration(statement)) statement.members.forEach(checkMembers)
    if (ts.isClassDeclaration(statement)) statement.heritageClauses?.forEach(checkMembers)
    if (ts.isVariableStatement(statement)) {
      for (const { type } of statement.declarationList.declarations) {
        if (type !== undefined && ts.isTypeLiteralNode(type)) type.members.forEach(checkMembers)
      }
    }
  }
  return found
}

describe("documentation of the Lambda modules", () => {
  for (const file of files) {
    it(`covers every overload and every member of ${file}`, () => {
      assert.deepStrictEqual(findUndocumented(file), [])
    })
  }
})
