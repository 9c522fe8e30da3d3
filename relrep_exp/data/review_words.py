"""The vocabulary of the made-up reviews: every row says one thing in five languages.

A row is `mark | de | en | es | fr | zh`; a line that begins with `|` goes on with the row above. Nouns come
with an article that tells their gender, Chinese ones with their measure word. `[a/b/c]` is agreement: the
masculine, feminine and neuter form of a word; which noun it agrees with is said at each table.
"""

from __future__ import annotations

from dataclasses import dataclass

LANGUAGES = ("de", "en", "es", "fr", "zh")


@dataclass(frozen=True)
class Row:
    """One thing to say.

    Attributes:
        mark: kinds of product, or stars, as the table says.
        words: language -> how it is said.
    """

    mark: str
    words: dict[str, str]


def _rows(table: str) -> tuple[Row, ...]:
    joined = table.strip().replace("\n|", "|")
    cells = [[cell.strip() for cell in line.split("|")] for line in joined.splitlines()]
    return tuple(Row(mark, dict(zip(LANGUAGES, words, strict=True))) for mark, *words in cells)


# The mark is the kind of product, which decides what can be said about it.
PRODUCTS = _rows("""
gadget | die Kamera | camera | una cámara | un appareil photo | 台 相机
gadget | der Lautsprecher | speaker | un altavoz | une enceinte | 个 音箱
gadget | die Smartwatch | smartwatch | un reloj inteligente | une montre connectée | 块 智能手表
gadget | der Rasierer | razor | una afeitadora | un rasoir | 个 剃须刀
gadget | die Taschenlampe | torch | una linterna | une lampe de poche | 个 手电筒
gadget | das Tablet | tablet | una tableta | une tablette | 台 平板电脑
gadget | der Staubsauger | vacuum cleaner | una aspiradora | un aspirateur | 台 吸尘器
gadget | die Drohne | drone | un dron | un drone | 架 无人机
gadget | die Tastatur | keyboard | un teclado | un clavier | 个 键盘
kitchen | der Wasserkocher | kettle | un hervidor | une bouilloire | 个 烧水壶
kitchen | die Kaffeemaschine | coffee machine | una cafetera | une cafetière | 台 咖啡机
kitchen | der Mixer | blender | una batidora | un mixeur | 台 搅拌机
kitchen | die Pfanne | frying pan | una sartén | une poêle | 个 平底锅
kitchen | die Teekanne | teapot | una tetera | une théière | 个 茶壶
kitchen | der Kochtopf | cooking pot | una olla | une casserole | 个 汤锅
clothes | der Mantel | coat | un abrigo | un manteau | 件 大衣
clothes | das Kleid | dress | un vestido | une robe | 条 连衣裙
clothes | das Hemd | shirt | una camisa | une chemise | 件 衬衫
clothes | der Pullover | pullover | un jersey | un pull | 件 毛衣
zipped | die Jacke | jacket | una chaqueta | une veste | 件 夹克
zipped | der Rucksack | backpack | una mochila | un sac à dos | 个 背包
zipped | die Handtasche | handbag | un bolso | un sac à main | 个 手提包
zipped | der Koffer | suitcase | una maleta | une valise | 个 行李箱
zipped | der Schlafsack | sleeping bag | un saco de dormir | un sac de couchage | 个 睡袋
zipped | das Zelt | tent | una tienda de campaña | une tente | 顶 帐篷
home | der Stuhl | chair | una silla | une chaise | 把 椅子
home | der Schreibtisch | desk | un escritorio | un bureau | 张 书桌
home | die Lampe | lamp | una lámpara | une lampe | 盏 台灯
home | das Regal | shelf | una estantería | une étagère | 个 书架
home | das Bett | bed | una cama | un lit | 张 床
home | das Sofa | sofa | un sofá | un canapé | 张 沙发
home | der Sessel | armchair | un sillón | un fauteuil | 把 扶手椅
""")

# The mark names the kinds of product that have it; every product has what is marked `all`.
ASPECTS = _rows("""
all | die Qualität | quality | una calidad | une qualité | 种 质量
all | die Verarbeitung | workmanship | un acabado | une finition | 种 做工
all | das Design | design | un diseño | un design | 种 设计
all | das Preis-Leistungs-Verhältnis | value for money | una relación calidad-precio | un rapport qualité-prix
| 种 性价比
all | die Verpackung | packaging | un embalaje | un emballage | 种 包装
all | das Material | material | un material | un matériau | 种 材质
all | das Aussehen | appearance | un aspecto | une apparence | 种 外观
all | die Farbe | colour | un color | une couleur | 种 颜色
all | die Größe | size | un tamaño | une taille | 种 尺寸
gadget | die Akkulaufzeit | battery life | una duración de la batería | une autonomie | 种 续航
gadget | das Ladekabel | charging cable | un cable de carga | un câble de charge | 根 充电线
gadget | der Schalter | switch | un interruptor | un interrupteur | 个 开关
gadget kitchen | die Bedienung | handling | un manejo | une prise en main | 种 操作体验
gadget kitchen | die Anleitung | manual | un manual | une notice | 本 说明书
kitchen | der Griff | handle | un mango | une poignée | 个 手柄
kitchen | der Deckel | lid | una tapa | un couvercle | 个 盖子
clothes | der Schnitt | cut | un corte | une coupe | 种 版型
clothes | der Tragekomfort | comfort | una comodidad | un confort | 种 舒适度
clothes zipped | die Naht | stitching | una costura | une couture | 条 缝线
clothes zipped | der Stoff | fabric | una tela | un tissu | 种 面料
zipped | der Reißverschluss | zip | una cremallera | une fermeture éclair | 条 拉链
zipped | das Futter | lining | un forro | une doublure | 种 内衬
home | die Stabilität | stability | una estabilidad | une stabilité | 种 稳定性
home | der Aufbau | assembly | un montaje | un montage | 种 安装过程
home | die Oberfläche | surface | una superficie | une surface | 种 表面
""")

# `mein Sohn`, `meinen Sohn`: the grammar makes the possessive.
RECIPIENTS = _rows("""
- | die Tochter | daughter | una hija | une fille | 个 女儿
- | der Sohn | son | un hijo | un fils | 个 儿子
- | die Mutter | mother | una madre | une mère | 个 妈妈
- | der Vater | father | un padre | un père | 个 爸爸
- | die Schwester | sister | una hermana | une sœur | 个 妹妹
- | der Bruder | brother | un hermano | un frère | 个 哥哥
- | die Frau | wife | una mujer | une femme | 个 妻子
- | der Mann | husband | un marido | un mari | 个 丈夫
- | die Großmutter | grandmother | una abuela | une grand-mère | 个 奶奶
- | der Onkel | uncle | un tío | un oncle | 个 叔叔
- | die Nachbarin | neighbour | una vecina | une voisine | 个 邻居
- | die Freundin | friend | una amiga | une amie | 个 朋友
""")

# In German they follow `seit` and `nach`, hence the dative.
DURATIONS = _rows("""
- | zwei Tagen | two days | dos días | deux jours | 两天
- | einer Woche | a week | una semana | une semaine | 一个星期
- | zwei Wochen | two weeks | dos semanas | deux semaines | 两个星期
- | drei Wochen | three weeks | tres semanas | trois semaines | 三个星期
- | einem Monat | a month | un mes | un mois | 一个月
- | zwei Monaten | two months | dos meses | deux mois | 两个月
- | vier Monaten | four months | cuatro meses | quatre mois | 四个月
- | einem halben Jahr | half a year | medio año | six mois | 半年
- | einem Jahr | a year | un año | un an | 一年
- | zwei Jahren | two years | dos años | deux ans | 两年
""")

# The mark is the number of stars that such words go with; they agree with the aspect.
OPINIONS = _rows("""
1 | ist furchtbar | is terrible | es terrible | est épouvantable | 糟糕透顶
1 | ist inakzeptabel | is unacceptable | es inaceptable | est inacceptable | 让人无法接受
1 | ist eine Katastrophe | is a disaster | es un desastre | est une catastrophe | 简直是灾难
1 | könnte nicht schlechter sein | could not be worse | no podría ser peor | ne pourrait pas être pire
| 差得不能再差
2 | ist enttäuschend | is disappointing | es decepcionante | est [décevant/décevante] | 令人失望
2 | ist schlecht | is poor | es [malo/mala] | est [mauvais/mauvaise] | 很差
2 | lässt zu wünschen übrig | leaves much to be desired | deja mucho que desear | laisse à désirer | 有待改进
2 | ist nicht besonders gut | is not particularly good | no es especialmente [bueno/buena]
| n'est pas très [bon/bonne] | 不太好
3 | ist akzeptabel | is acceptable | es aceptable | est acceptable | 可以接受
3 | ist durchschnittlich | is average | es normal | est [moyen/moyenne] | 很一般
3 | ist in Ordnung | is all right | está bien | est [correct/correcte] | 还行
3 | könnte besser sein | could be better | podría ser mejor | pourrait être [meilleur/meilleure] | 可以更好
4 | ist gut | is good | es [bueno/buena] | est [bon/bonne] | 不错
4 | ist überzeugend | is convincing | es convincente | est [convaincant/convaincante] | 令人满意
4 | ist gar nicht schlecht | is not bad at all | no es nada [malo/mala]
| n'est pas [mauvais/mauvaise] du tout | 一点也不差
4 | gibt keinen Grund zur Klage | gives no cause for complaint | no da motivos de queja
| ne donne aucune raison de se plaindre | 没什么可抱怨的
5 | ist ausgezeichnet | is excellent | es excelente | est [excellent/excellente] | 非常出色
5 | ist perfekt | is perfect | es [perfecto/perfecta] | est [parfait/parfaite] | 完美无缺
5 | übertrifft meine Erwartungen | exceeds my expectations | supera mis expectativas | dépasse mes attentes
| 超出了我的预期
5 | könnte nicht besser sein | could not be better | no podría ser mejor
| ne pourrait pas être [meilleur/meilleure] | 好得不能再好
""")

# The mark is the number of stars that they go with.
DELIVERIES = _rows("""
1 | das Paket kam beschädigt an | the parcel arrived damaged | el paquete llegó dañado
| le colis est arrivé abîmé | 包裹送到时已经破损
1 | die Lieferung dauerte über einen Monat | delivery took more than a month | la entrega tardó más de un mes
| la livraison a pris plus d'un mois | 送货花了一个多月
2 | die Lieferung kam zu spät | the delivery came late | el envío llegó tarde
| la livraison est arrivée en retard | 送货晚了
3 | die Lieferung dauerte eine Woche | delivery took a week | la entrega tardó una semana
| la livraison a pris une semaine | 送货花了一个星期
4 | die Lieferung kam pünktlich | the delivery came on time | el envío llegó a tiempo
| la livraison est arrivée à l'heure | 送货很准时
5 | das Paket war schon am nächsten Tag da | the parcel was there the next day
| el paquete llegó al día siguiente | le colis est arrivé dès le lendemain | 包裹第二天就到了
""")

SELLERS = _rows("""
1 | der Verkäufer hat nie geantwortet | the seller never replied | el vendedor nunca respondió
| le vendeur n'a jamais répondu | 卖家从来没有回复
2 | der Verkäufer war unfreundlich | the seller was unfriendly | el vendedor fue poco amable
| le vendeur était peu aimable | 卖家态度不好
3 | der Verkäufer antwortete nach einigen Tagen | the seller replied after some days
| el vendedor respondió al cabo de unos días | le vendeur a répondu au bout de quelques jours
| 卖家过了几天才回复
4 | der Verkäufer war freundlich | the seller was friendly | el vendedor fue amable
| le vendeur était aimable | 卖家态度很好
5 | der Verkäufer hat jedes Problem sofort gelöst | the seller solved every problem at once
| el vendedor resolvió todos los problemas de inmediato | le vendeur a tout de suite réglé tous les problèmes
| 卖家马上解决了所有问题
""")

# Whole sentences; pronouns agree with the product.
VERDICTS = _rows("""
1 | Ich möchte mein Geld zurück. | I want my money back. | Quiero que me devuelvan el dinero.
| Je veux me faire rembourser. | 我要求退款。
1 | Nie wieder! | Never again! | ¡Nunca más! | Plus jamais ! | 再也不买了！
1 | Reine Geldverschwendung. | A sheer waste of money. | Una pérdida de dinero.
| De l'argent jeté par les fenêtres. | 纯粹浪费钱。
2 | Ich würde [ihn/sie/es] nicht noch einmal kaufen. | I would not buy it again.
| No [lo/la] volvería a comprar. | Je ne l'achèterais pas une deuxième fois. | 我不会再买一次。
2 | Ich hatte mehr erwartet. | I had expected more. | Esperaba más. | Je m'attendais à mieux.
| 我本来期望更高。
2 | Ich rate eher davon ab. | I would rather advise against it. | No [lo/la] recomiendo mucho.
| Je [le/la] déconseille plutôt. | 我不太推荐。
3 | Für den Preis ist das in Ordnung. | For the price it is fine. | Por ese precio está bien.
| Pour ce prix, ça va. | 这个价格还说得过去。
3 | [Er/Sie/Es] erfüllt den Zweck, mehr nicht. | It does its job, no more. | Cumple su función, nada más.
| [Il/Elle] fait son travail, sans plus. | 能用，仅此而已。
3 | Weder gut noch schlecht. | Neither good nor bad. | Ni bien ni mal. | Ni bien ni mal. | 不好也不坏。
4 | Insgesamt ein guter Kauf. | A good purchase overall. | En general, una buena compra.
| Dans l'ensemble, un bon achat. | 总的来说买得不错。
4 | Ich würde [ihn/sie/es] noch einmal kaufen. | I would buy it again.
| [Lo/La] volvería a comprar. | Je l'achèterais une deuxième fois. | 我会再买一次。
4 | Ich empfehle [ihn/sie/es] mit kleinen Abstrichen. | I recommend it with small reservations.
| [Lo/La] recomiendo con pequeñas reservas. | Je [le/la] recommande avec quelques réserves. | 基本上值得推荐。
5 | Ich empfehle [ihn/sie/es] jedem. | I recommend it to everyone. | [Lo/La] recomiendo a todo el mundo.
| Je [le/la] recommande à tout le monde. | 推荐给所有人。
5 | Der beste Kauf des Jahres. | The best purchase of the year. | La mejor compra del año.
| Le meilleur achat de l'année. | 今年买得最值的东西。
5 | Von mir die volle Punktzahl! | Full marks from me! | ¡Le doy la máxima puntuación!
| Je mets la note maximale ! | 我给满分！
""")
