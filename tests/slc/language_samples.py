"""Short programs by their language: at least three of each, from one line up, for the test of the detection."""

from __future__ import annotations

SAMPLES: dict[str, tuple[str, ...]] = {
    "bash": (
        'echo "Hello, World!"',
        'for f in *.txt; do\n  mv "$f" "${f%.txt}.md"\ndone',
        'set -euo pipefail\nif [ -z "$1" ]; then\n  echo "usage: $0 FILE" >&2\n  exit 1\nfi',
        'total=$(wc -l < "$file")\ngreet() {\n  local name=$1\n  echo "Hi $name"\n}',
    ),
    "batch": (
        "@echo off\necho Hello World\npause",
        "set NAME=World\nif exist %NAME%.txt del %NAME%.txt\ngoto end\n:end",
        "rem copies files\nfor %%f in (*.txt) do copy %%f backup\\",
    ),
    "c": (
        '#include <stdio.h>\n\nint main(void) {\n    printf("Hello, World!\\n");\n    return 0;\n}',
        "int add(int a, int b)\n{\n    return a + b;\n}",
        "struct node {\n    int value;\n    struct node *next;\n};\n\nvoid push(struct node **head, int v) {\n"
        "    struct node *n = malloc(sizeof *n);\n    n->value = v;\n    n->next = *head;\n    *head = n;\n}",
        "#define MAX(a, b) ((a) > (b) ? (a) : (b))\n#ifdef DEBUG\nstatic char buffer[16];\n#endif",
    ),
    "clojure": (
        '(println "Hello, World!")',
        "(defn factorial [n]\n  (reduce * (range 1 (inc n))))",
        "(ns app.core\n  (:require [clojure.string :as str]))\n\n(let [x 1] (str/upper-case \"a\"))",
    ),
    "cmake": (
        "cmake_minimum_required(VERSION 3.10)\nproject(Hello CXX)\nadd_executable(hello main.cpp)",
        "find_package(OpenSSL REQUIRED)\ntarget_link_libraries(app PRIVATE OpenSSL::SSL)",
        "if(WIN32)\n  set(SOURCES win.c)\nendif()\nadd_library(core ${SOURCES})",
    ),
    "common-lisp": (
        '(format t "Hello, World!~%")',
        "(defun square (x) (* x x))",
        "(defvar *count* 0)\n(loop for i from 1 to 10 do (setf *count* (+ *count* i)))",
    ),
    "cpp": (
        '#include <iostream>\n\nint main() {\n    std::cout << "Hello, World!" << std::endl;\n}',
        "template <typename T>\nT largest(const std::vector<T>& values) {\n    return *std::max_element(values.begin(), values.end());\n}",
        "class Shape {\npublic:\n    virtual ~Shape() = default;\n    virtual double area() const = 0;\n};",
        "using namespace std;\n\nint main() {\n    int n;\n    cin >> n;\n    cout << n * 2;\n}",
    ),
    "csharp": (
        'Console.WriteLine("Hello, World!");',
        "using System;\n\nnamespace App\n{\n    class Program\n    {\n        static void Main(string[] args)\n        {\n"
        '            Console.Write("Hi");\n        }\n    }\n}',
        "public class Point\n{\n    public int X { get; set; }\n    public int Y { get; set; }\n}",
        "foreach (var item in items)\n{\n    total += item.Price;\n}\nusing System.Linq;",
    ),
    "css": (
        "body { margin: 0; font-family: sans-serif; }",
        ".button:hover {\n  color: #fff;\n  background-color: navy;\n}",
        "@media (max-width: 600px) {\n  nav ul { display: none; }\n}",
    ),
    "dart": (
        "void main() {\n  print('Hello, World!');\n}",
        "import 'package:flutter/material.dart';\n\nclass App extends StatelessWidget {\n  @override\n  Widget build(BuildContext context) => Text('Hi');\n}",
        "Future<int> load() async {\n  final text = await read();\n  return text.length;\n}\nvoid main() => load();",
    ),
    "diff": (
        "--- a/x.py\n+++ b/x.py\n@@ -1,2 +1,2 @@\n-a = 1\n+a = 2\n b = 3",
        "diff --git a/README b/README\nindex 1..2 100644",
        "1c1\n< old\n---\n> new",
    ),
    "dockerfile": (
        "FROM python:3.11-slim\nWORKDIR /app\nCOPY . .\nRUN pip install -r requirements.txt\nCMD [\"python\", \"app.py\"]",
        "FROM golang:1.22 AS build\nRUN go build -o /bin/app\nFROM scratch\nCOPY --from=build /bin/app /app",
        "FROM alpine\nENTRYPOINT [\"sh\"]",
    ),
    "elixir": (
        'IO.puts("Hello, World!")',
        "defmodule Math do\n  def add(a, b), do: a + b\nend",
        '"a b c"\n|> String.split()\n|> Enum.map(&String.upcase/1)',
    ),
    "erlang": (
        '-module(hello).\n-export([start/0]).\n\nstart() ->\n    io:format("Hello~n").',
        "fact(0) -> 1;\nfact(N) when N > 0 -> N * fact(N - 1).",
        "lists:map(fun(X) -> X * 2 end, [1, 2, 3]).\n-define(SIZE, 3).",
    ),
    "fortran": (
        "program hello\n  print *, 'Hello, World!'\nend program hello",
        "subroutine swap(a, b)\n  integer, intent(inout) :: a, b\n  integer :: t\n  t = a\n  a = b\n  b = t\nend subroutine",
        "      do i = 1, n\n        if (x(i) .gt. 0) then\n          s = s + x(i)\n        end if\n      end do",
    ),
    "fsharp": (
        'printfn "Hello, World!"',
        "let rec fact n =\n    if n <= 1 then 1\n    else n * fact (n - 1)\n\n[1..5] |> List.map fact |> printfn \"%A\"",
        "open System\n\n[<EntryPoint>]\nlet main argv =\n    Console.WriteLine(\"Hi\")\n    0",
    ),
    "go": (
        'package main\n\nimport "fmt"\n\nfunc main() {\n\tfmt.Println("Hello, World!")\n}',
        "func add(a, b int) int {\n\treturn a + b\n}",
        "result, err := os.Open(path)\nif err != nil {\n\treturn err\n}\ndefer result.Close()",
        "type Stack[T any] struct {\n\titems []T\n}",
    ),
    "groovy": (
        "def names = ['a', 'b']\nnames.each { println it }",
        "plugins {\n    id 'java'\n}\n\ndependencies {\n    implementation 'org.slf4j:slf4j-api:2.0'\n}",
        "pipeline {\n    agent any\n    stages {\n        stage('Build') { steps { sh 'make' } }\n    }\n}",
    ),
    "haskell": (
        'main :: IO ()\nmain = putStrLn "Hello, World!"',
        "quicksort :: Ord a => [a] -> [a]\nquicksort [] = []\nquicksort (x:xs) = quicksort [y | y <- xs, y < x] ++ [x]",
        "module Shapes where\n\nimport qualified Data.Map as M\n\ndata Shape = Circle Double | Square Double deriving Show",
    ),
    "html": (
        "<!DOCTYPE html>\n<html><head><title>Hi</title></head><body></body></html>",
        '<div class="card"><p>Hello <b>World</b></p></div>',
        '<ul>\n  <li><a href="/a">A</a></li>\n  <li><a href="/b">B</a></li>\n</ul>',
    ),
    "ini": (
        "[server]\nhost = localhost\nport = 8080",
        "; settings\n[core]\neditor=vim\n[user]\nname=me",
        "[Unit]\nDescription=A daemon\n[Service]\nExecStart=/usr/bin/daemon",
    ),
    "java": (
        'public class Hello {\n    public static void main(String[] args) {\n        System.out.println("Hello, World!");\n    }\n}',
        "import java.util.List;\n\ninterface Shape {\n    double area();\n}",
        "@Override\npublic String toString() {\n    return name + age;\n}",
        "private final Map<String, Integer> counts = new HashMap<>();\npublic int size() throws IOException {\n    return counts.size();\n}",
    ),
    "javascript": (
        'console.log("Hello, World!");',
        "const add = (a, b) => a + b;\nmodule.exports = { add };",
        "function fib(n) {\n  if (n === 0) return 0;\n  return n === 1 ? 1 : fib(n - 1) + fib(n - 2);\n}",
        "document.querySelector('#go').addEventListener('click', async () => {\n  const data = await fetch('/api');\n});",
        "import React from 'react';\nexport default function App() { return null; }",
    ),
    "json": ('{"name": "demo", "version": "1.0.0"}', "[1, 2, 3]", '[\n  {"a": null},\n  {"a": true}\n]\n'),
    "julia": (
        'println("Hello, World!")\nx = [i^2 for i in 1:10]\npush!(x, 3)',
        "function fact(n::Int)\n    n <= 1 ? 1 : n * fact(n - 1)\nend",
        "using LinearAlgebra\nstruct Point\n    x::Float64\n    y::Float64\nend",
    ),
    "kotlin": (
        'fun main() {\n    println("Hello, World!")\n}',
        "data class Point(val x: Int, val y: Int)",
        "val names = listOf(\"a\", \"b\")\nfor (name in names) {\n    println(\"Hi $name\")\n}",
    ),
    "lua": (
        "local function fact(n)\n  if n <= 1 then return 1 end\n  return n * fact(n - 1)\nend",
        'for i, v in ipairs(list) do\n  print(i .. ": " .. v)\nend',
        "local t = {}\ntable.insert(t, 1)\n-- done",
    ),
    "makefile": (
        "all: main.o util.o\n\tgcc -o app $^",
        ".PHONY: test\ntest:\n\tpytest -q",
        "CC := gcc\nSRC := $(wildcard *.c)\n\nclean:\n\trm -f *.o",
    ),
    "markdown": (
        "# Title\n\nSome **bold** text and a [link](https://example.org).",
        "## Usage\n\n- first\n- second\n\n```sh\nls\n```",
        "1. One\n2. Two\n\n> quoted `code`",
    ),
    "matlab": (
        "disp('Hello, World!');",
        "function y = square(x)\n    y = x .^ 2;\nend",
        "% plot a sine\nx = linspace(0, 2*pi, 100);\nplot(x, sin(x));",
    ),
    "objective-c": (
        '#import <Foundation/Foundation.h>\n\nint main(void) {\n    NSLog(@"Hello, World!");\n    return 0;\n}',
        "@interface Point : NSObject\n@property int x;\n- (void)move;\n@end",
        "NSArray *list = [[NSArray alloc] init];\n[list count];",
    ),
    "ocaml": (
        'let () = print_endline "Hello, World!"',
        "let rec sum = function\n  | [] -> 0\n  | x :: rest -> x + sum rest",
        "open Printf\nlet square x =\n  let y = x * x in\n  y;;",
    ),
    "pascal": (
        "program Hello;\nbegin\n  WriteLn('Hello, World!');\nend.",
        "procedure Swap(var a, b: Integer);\nvar t: Integer;\nbegin\n  t := a;\n  a := b;\n  b := t;\nend;",
        "function Square(x: Real): Real;\nbegin\n  Square := x * x;\nend;",
    ),
    "perl": (
        'use strict;\nuse warnings;\nprint "Hello, World!\\n";',
        "my @list = map { $_ * 2 } grep { $_ > 1 } @numbers;\nforeach my $n (@list) { print $n; }",
        "sub trim {\n    my ($s) = @_;\n    $s =~ s/^\\s+//;\n    return $s;\n}",
    ),
    "php": (
        '<?php\necho "Hello, World!";',
        "<ul><?php foreach ($items as $item): ?><li><?= $item ?></li><?php endforeach; ?></ul>",
        "$total = 0;\nforeach ($prices as $price) {\n    $total += $price;\n}\necho $total;",
        "class User {\n    private $name;\n    public function __construct($name) {\n        $this->name = $name;\n    }\n}",
    ),
    "powershell": (
        'Write-Host "Hello, World!"',
        "Get-ChildItem -Path C:\\ | Where-Object { $_.Length -gt 1MB }",
        "function Get-Sum {\n    param([int]$a, [int]$b)\n    return $a + $b\n}",
    ),
    "python": (
        'print("Hello, World!")',
        "def add(a, b):\n    return a + b",
        "import os\nfor name in os.listdir('.'):\n    print(name)",
        "print 'old style'\nfor i in xrange(3):\n    print i",
        "    def area(self) -> float:\n        return self.width * self.height",
        "squares = [x * x for x in range(10)]",
        ">>> 1 + 1\n2",
        "@dataclass\nclass Point:\n    x: int = 0",
    ),
    "r": (
        "x <- c(1, 2, 3)\nmean(x)",
        "square <- function(x) {\n  x^2\n}",
        "library(ggplot2)\nggplot(df, aes(x, y)) + geom_point()",
    ),
    "ruby": (
        'puts "Hello, World!"',
        "def add(a, b)\n  a + b\nend",
        "[1, 2, 3].each do |n|\n  puts n * 2\nend",
        "class Dog < Animal\n  attr_reader :name\n  def initialize(name)\n    @name = name\n  end\nend",
    ),
    "rust": (
        'fn main() {\n    println!("Hello, World!");\n}',
        "pub fn add(a: i32, b: i32) -> i32 {\n    a + b\n}",
        "use std::collections::HashMap;\n\nlet mut map = HashMap::new();\nmap.insert(1, \"a\");",
        "#[derive(Debug, Clone)]\nstruct Point { x: f64, y: f64 }\n\nimpl Point {\n    fn new() -> Self { Point { x: 0.0, y: 0.0 } }\n}",
    ),
    "scala": (
        'object Hello extends App {\n  println("Hello, World!")\n}',
        "def factorial(n: Int): Int = if (n <= 1) 1 else n * factorial(n - 1)",
        "case class Point(x: Int, y: Int)\nval p = Point(1, 2)\np match {\n  case Point(a, _) => a\n}",
    ),
    "scheme": (
        '(display "Hello, World!")\n(newline)',
        "(define (square x) (* x x))",
        "(let loop ((i 0))\n  (if (< i 10) (loop (+ i 1))))",
    ),
    "scss": (
        "$primary: #333;\n.nav {\n  color: $primary;\n  &:hover { color: red; }\n}",
        "@mixin round($r) { border-radius: $r; }\n.box { @include round(4px); }",
        "@use 'colors';\n.a {\n  &-b { margin: 0; }\n}",
    ),
    "sql": (
        "SELECT name, age FROM users WHERE age > 18 ORDER BY name;",
        "CREATE TABLE users (\n  id INTEGER PRIMARY KEY,\n  name VARCHAR(50) NOT NULL\n);",
        "insert into t (a, b) values (1, 2);",
        "update accounts set balance = 0 where id = 7",
    ),
    "swift": (
        'import Foundation\nprint("Hello, World!")',
        "func greet(name: String) -> String {\n    return \"Hello, \\(name)\"\n}",
        "guard let value = optional else { return }\nfor i in 0..<10 { print(i) }",
        "struct Point {\n    var x: Int\n    var y: Int\n}\nlet p = Point(x: 1, y: 2)",
    ),
    "tcl": (
        'puts "Hello, World!"\nset x [expr 1 + 2]',
        "proc add {a b} {\n    return [expr {$a + $b}]\n}",
        "foreach item $list {\n    incr total $item\n}",
    ),
    "tex": (
        "\\documentclass{article}\n\\begin{document}\nHello\n\\end{document}",
        "\\section{Results}\nThe value is $x^2$, see \\cite{knuth}.",
        "\\frac{a}{b} + \\sum_{i=1}^n i",
    ),
    "toml": (
        '[package]\nname = "demo"\nversion = "0.1.0"\n\n[dependencies]\nserde = { version = "1" }',
        '[[servers]]\nip = "10.0.0.1"\nports = [80, 443]',
        '[tool.ruff]\nline-length = 120\nselect = ["E", "F"]',
    ),
    "typescript": (
        "interface User {\n  name: string;\n  age?: number;\n}",
        "function add(a: number, b: number): number {\n  return a + b;\n}",
        "export class Service {\n  private readonly url: string;\n  constructor(private http: HttpClient) {}\n}",
        "type Id = string | number;\nconst ids: Id[] = [];",
    ),
    "vb.net": (
        'Module Hello\n    Sub Main()\n        Console.WriteLine("Hello, World!")\n    End Sub\nEnd Module',
        "Dim total As Integer = 0\nFor i As Integer = 1 To 10\n    total += i\nNext",
        "Public Function Add(a As Integer, b As Integer) As Integer\n    Return a + b\nEnd Function",
    ),
    "xml": (
        '<?xml version="1.0"?>\n<note><to>Tove</to></note>',
        '<project xmlns="http://maven.apache.org/POM/4.0.0">\n  <version>1</version>\n</project>',
        '<config>\n  <item key="a" />\n  <name>demo</name>\n</config>',
    ),
    "yaml": (
        "name: demo\nversion: 1\nitems:\n  - a\n  - b",
        "---\nservices:\n  web:\n    image: nginx\n    ports:\n      - \"80:80\"",
        "on: push\njobs:\n  build:\n    runs-on: ubuntu-latest",
    ),
    "zig": (
        'const std = @import("std");\n\npub fn main() !void {\n    std.debug.print("Hello\\n", .{});\n}',
        "fn add(a: i32, b: i32) i32 {\n    return a + b;\n}\nconst x: u8 = 1;\nvar y: u8 = @intCast(x);",
        "const Point = struct { x: f32 };\nconst p = Point{ .x = 1 };\ntry expect(p.x == 1);\nconst c = comptime p;",
    ),
    "text": (
        "",
        "   \n\n",
        "hello",
        "Dear Sir,\n\nplease make sure that it works. Read the notes first; then test it.\n\nYours",
        "你好，请帮我写一个排序函数。",
        "Write a function that sorts a list, and returns it if it is not empty.",
        "1, 2, 3\n4, 5, 6",
        "If you want to know more, ask for it.\nFor all of us: thanks.",
        "Traceback (most recent call last):\n  File \"a.py\", line 1, in <module>\nValueError: no",
    ),
}  # fmt: skip
